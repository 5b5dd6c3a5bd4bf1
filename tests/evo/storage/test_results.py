"""Intervals, what they say of a difference, and the final table, against formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluators.task import Score
from evo.storage.results import Finalist, Interval, Verdict, final_table, interval
from topologies import butterfly, clos, hypercube

ONE, TWO, THREE = (
    Finalist("the first", butterfly(8, 3)),
    Finalist("the second", hypercube(8, 3)),
    Finalist("the third", clos(8, 2, 3, 2)),
)
FINALISTS = [
    ("evolved champion", ONE, Score((0.1, 0.3, 0.2, 0.5), 0.1)),
    ("butterfly", TWO, Score((0.2, 0.5, 0.3, 0.6), 0.3)),
    ("random search", THREE, Score((0.2, 0.5, 0.3, 0.6))),
]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.2, -0.1, Verdict.BETTER),
        (-0.2, 0.0, Verdict.LEVEL),
        (-0.2, 0.1, Verdict.LEVEL),
        (0.0, 0.0, Verdict.LEVEL),
        (0.0, 0.1, Verdict.LEVEL),
        (0.1, 0.2, Verdict.WORSE),
        (-0.1, -0.1, Verdict.BETTER),
        (0.1, 0.1, Verdict.WORSE),
    ],
)
def test_only_an_interval_on_one_side_of_zero_decides(low: float, high: float, verdict: Verdict) -> None:
    assert Interval((low + high) / 2, low, high).verdict is verdict


def test_an_interval_without_length_is_of_no_sample() -> None:
    assert Interval(0.25, 0.25, 0.25).is_deterministic
    assert not Interval(0.25, 0.25, math.nextafter(0.25, 1)).is_deterministic
    assert interval(np.full(8, 0.1)) == Interval(0.1, 0.1, 0.1)
    assert interval(np.full(7, 0.1)).is_deterministic
    assert interval(np.array([0.1])).is_unknown and not interval(np.array([0.1])).is_deterministic
    assert not interval(np.array([0.1, 0.2])).is_deterministic


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e6, 1e6), st.integers(2, 40))
def test_values_that_are_all_equal_have_no_uncertainty(value: float, count: int) -> None:
    found = interval(np.full(count, value))
    assert found.is_deterministic and found.half_width == 0
    assert found.mean == pytest.approx(value)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20).filter(lambda values: np.ptp(values) > 1e-6))
def test_an_interval_is_students(values: list[float]) -> None:
    found = interval(np.array(values))
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(values), low, high))
    assert found.half_width == pytest.approx((high - low) / 2)


def test_the_final_table_pairs_every_row_with_the_baseline() -> None:
    table = final_table(FINALISTS, "butterfly")
    assert [row.name for row in table.rows] == [name for name, _, _ in FINALISTS]
    assert table.first is table.rows[0] and table.others == table.rows[1:]
    assert table.baseline is table.rows[1] is table.get("butterfly")
    assert table.get("growth rule") is None
    for row, (_, finalist, score) in zip(table.rows, FINALISTS, strict=True):
        assert (row.label, row.topology, row.learning_rate) == (finalist.label, finalist.topology, score.learning_rate)
        assert (row.errors, row.error) == (score.errors, interval(np.array(score.errors)))
    first, baseline, other = table.rows
    assert first.difference == interval(np.subtract(first.errors, baseline.errors))
    assert first.difference is not None and first.difference.mean == pytest.approx(-0.125)
    assert first.difference.verdict is Verdict.BETTER
    assert baseline.difference is None
    assert other.difference == Interval(0, 0, 0)
    assert first.minus(baseline) == first.difference
    assert baseline.minus(first).verdict is Verdict.WORSE


def test_a_table_may_be_about_its_baseline_alone() -> None:
    table = final_table(FINALISTS[1:2], "butterfly")
    assert table.first is table.baseline and table.others == ()


@pytest.mark.parametrize("name", ["clos", "", "Butterfly"])
def test_a_table_without_its_baseline_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^there is no row called '{name}'$"):
        final_table(FINALISTS, name)
    with pytest.raises(ValueError, match="there is no row called"):
        final_table([], name)


def test_rows_that_cannot_be_paired_are_refused_with_the_numbers_of_their_errors() -> None:
    shorter = [*FINALISTS[:2], ("random search", THREE, Score((0.2, 0.5, 0.3)))]
    with pytest.raises(ValueError, match="rows have different numbers of errors, so they cannot be paired") as refused:
        final_table(shorter, "butterfly")
    assert "{'evolved champion': 4, 'butterfly': 4, 'random search': 3}" in str(refused.value)
