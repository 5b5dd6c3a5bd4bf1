"""What a champion saves: the edges that a family would need by its own curve."""

from __future__ import annotations

import math

import pytest

from evo.report.won import edges_for, won_in_words
from evo.storage.history import History
from evo.storage.names import EVOLVED
from tests.evo.histories import with_test_errors

CURVE = [(edges, math.exp(-edges / 100)) for edges in (100, 200, 300, 400)]
"""A family whose error falls by e for every hundred edges."""


@pytest.mark.parametrize("times", [0.2, 0.9, 1.0, 1.5])
def test_on_an_exponential_curve_the_answer_is_exact(times: float) -> None:
    assert edges_for(CURVE, times) == pytest.approx(400 - 100 * math.log(times))


def test_members_that_are_worse_than_smaller_ones_or_far_smaller_do_not_count() -> None:
    assert edges_for([*CURVE, (350, 0.9), (250, 0.5)], 0.5) == pytest.approx(400 + 100 * math.log(2))
    assert edges_for([(10, 0.9), *CURVE[1:]], 0.5) == pytest.approx(400 + 100 * math.log(2))


def test_of_equal_edges_the_best_member_counts() -> None:
    assert edges_for([*CURVE, (400, 0.5), (300, 0.7)], 0.5) == pytest.approx(400 + 100 * math.log(2))


@pytest.mark.parametrize("curve", [[], CURVE[:1], [(100, -1.0), (200, -2.0)], [(100, 0.5), (900, 0.1)]])
def test_where_too_little_is_known_nothing_is_said(curve: list[tuple[int, float]]) -> None:
    assert edges_for(curve, 0.5) is None


def test_the_report_says_multiply_accumulates_and_depth_and_edges_only_where_some_are_saved(finished: History) -> None:
    table = finished.table
    assert table is not None
    for factor, saves in ((0.5, True), (1.5, False)):
        errors = {EVOLVED: [factor * one for one in table.baseline.errors]}
        changed = with_test_errors(finished, errors).table
        assert changed is not None
        told = won_in_words(finished, changed)
        assert told.startswith(f"It takes {table.first.topology.n_edges} multiply-accumulates an example")
        assert ("trainable edges for this error" in told) == saves
