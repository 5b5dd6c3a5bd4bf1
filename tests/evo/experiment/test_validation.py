"""The final table: what is chosen where, and intervals as a textbook has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluators.task import Evaluator, Fidelity, Score, Split
from evo.experiment.validation import choose, compared
from evo.settings import Settings
from evo.storage.results import Chosen, Finalist, interval
from evo.storage.run import Run, open_run
from tests.fakes import recipe
from topologies import Topology, butterfly, clos, hypercube

RECIPE = recipe(
    fidelity={"validation_targets": 3, "validation_steps": 7, "validation_rates": (0.1, 0.2), "test_targets": 4}
)
ONE, TWO, THREE = (
    Finalist("one", butterfly(8, 3)),
    Finalist("two", hypercube(8, 3)),
    Finalist("three", clos(8, 2, 3, 2)),
)


@dataclass
class Scripted:
    """Says what it is told to of each topology and split; fails where it was told nothing."""

    script: dict[tuple[str, Split], Score]
    calls: list[tuple[str, Fidelity, Split]] = field(default_factory=list)

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """The score in the script."""
        self.calls.append((topology.digest, fidelity, split))
        return self.script[topology.digest, split]


def scripted(split: Split, errors: dict[str, list[float]]) -> dict[tuple[str, Split], Score]:
    """Scores on a split by label; the rate is the first error."""
    topologies = {one.label: one.topology for one in (ONE, TWO, THREE)}
    return {(topologies[label].digest, split): Score(tuple(found), found[0]) for label, found in errors.items()}


@contextmanager
def opened(folder: Path, judge: Evaluator) -> Iterator[Run[Settings]]:
    """A run of the recipe, which has evaluated nothing but what opening it takes."""
    with open_run(RECIPE, judge, folder, lambda event: None) as run:
        yield run


def test_the_validation_targets_choose_at_full_fidelity(tmp_path: Path) -> None:
    errors = {"one": [0.5, 0.5, 0.5], "two": [0.1, 0.7, 0.4], "three": [0.6, 0.3, 0.45]}
    judge = Scripted(scripted(Split.VALIDATION, errors))
    with opened(tmp_path, judge) as run:
        judge.calls.clear()
        chosen = choose(run, "row", [ONE, TWO, THREE])
    assert chosen == Chosen(TWO, Score((0.1, 0.7, 0.4), 0.1))
    assert {(fidelity, split) for _, fidelity, split in judge.calls} == {(Fidelity(3, 7, (0.1, 0.2)), Split.VALIDATION)}


def test_the_first_of_equals_is_chosen_and_failures_never(tmp_path: Path) -> None:
    judge = Scripted(scripted(Split.VALIDATION, {"two": [0.5, 0.25, 0.25], "three": [0.25, 0.5, 0.25]}))
    with opened(tmp_path, judge) as run:
        for row, finalists, first in (("row", [ONE, TWO, THREE], TWO), ("backwards", [ONE, THREE, TWO], THREE)):
            found = choose(run, row, finalists)
            assert found is not None and found.finalist == first
        for hopeless in ([ONE], []):
            assert choose(run, "hopeless", hopeless) is None


def test_the_best_third_are_ranked_again_on_four_times_as_many_targets_at_the_rate_each_chose(tmp_path: Path) -> None:
    one, two, three = (finalist.topology.digest for finalist in (ONE, TWO, THREE))
    others = [Finalist(f"other {depth}", butterfly(8, depth)) for depth in (4, 5)]
    asked: list[tuple[str, Fidelity]] = []

    class Careful:
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            asked.append((topology.digest, fidelity))
            first, closer = {one: (0.2, 0.4), two: (0.3, 0.3), three: (0.6, 0.0)}.get(topology.digest, (0.9, 0.0))
            return Score((first if fidelity.targets == 3 else closer,) * fidelity.targets, fidelity.rates[-1])

    with opened(tmp_path, Careful()) as run:
        asked.clear()
        best = choose(run, "row", [THREE, ONE, TWO, *others])
    assert best == Chosen(TWO, Score((0.3,) * 12, 0.2))
    assert asked[5:] == [(one, Fidelity(12, 7, (0.2,))), (two, Fidelity(12, 7, (0.2,)))]


def test_where_every_evaluation_on_more_targets_fails_the_first_ranking_counts(tmp_path: Path) -> None:
    class FailsOnMany:
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            if fidelity.targets > 3:
                raise RuntimeError("so many targets")
            return Score(({ONE.topology.digest: 0.2}.get(topology.digest, 0.3),) * fidelity.targets)

    with opened(tmp_path, FailsOnMany()) as run:
        best = choose(run, "row", [TWO, ONE, THREE, Finalist("other", butterfly(8, 4))])
    assert best == Chosen(ONE, Score((0.2,) * 3))


def chosen(errors: dict[str, list[float]]) -> dict[str, Chosen]:
    """As if these had been chosen, at rates 0.1, 0.2 and 0.3."""
    named = {"one": ONE, "two": TWO, "three": THREE}
    return {
        label: Chosen(named[label], Score((9.0,), rate)) for label, rate in zip(errors, (0.1, 0.2, 0.3), strict=False)
    }


def test_rows_come_from_test_targets_at_the_rate_chosen_before(tmp_path: Path) -> None:
    errors = {"one": [0.1, 0.2, 0.3, 0.4], "two": [0.2, 0.2, 0.4, 0.4], "three": [0.5, 0.6, 0.6, 0.9]}
    judge = Scripted(scripted(Split.TEST, errors))
    with opened(tmp_path, judge) as run:
        judge.calls.clear()
        table = compared(run, chosen(errors), "two")
    found = [(row.name, row.label, row.errors) for row in table.rows]
    assert found == [(name, name, tuple(values)) for name, values in errors.items()]
    assert (table.baseline_name, table.first, table.baseline) == ("two", table.rows[0], table.rows[1])
    assert table.others == table.rows[1:]
    assert [table.get(name) for name in errors] == list(table.rows) and table.get("four") is None
    assert judge.calls == [
        (one.topology.digest, Fidelity(4, 7, (rate,)), Split.TEST)
        for one, rate in ((ONE, 0.1), (TWO, 0.2), (THREE, 0.3))
    ]
    for row in table.rows:
        values = np.array(errors[row.name])
        assert row.error.mean == pytest.approx(values.mean())
        if row.name == "two":
            assert row.difference is None
        else:
            paired = stats.ttest_rel(values, errors["two"]).confidence_interval(0.95)
            assert row.difference is not None
            assert (row.difference.low, row.difference.high) == pytest.approx((paired.low, paired.high))


def test_a_row_that_fails_is_left_out_unless_the_table_is_about_it(tmp_path: Path) -> None:
    judge = Scripted(scripted(Split.TEST, {"one": [0.1] * 4, "two": [0.2] * 4}))
    entries = chosen({"one": [], "two": [], "three": []})
    with opened(tmp_path, judge) as run:
        assert [row.name for row in compared(run, entries, "two").rows] == ["one", "two"]
        with pytest.raises(ValueError, match="the three could not be evaluated on test targets"):
            compared(run, entries, "three")
        with pytest.raises(ValueError, match="the three could not be evaluated on test targets"):
            compared(run, {"three": entries["three"], **entries}, "two")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=20))
def test_the_interval_is_that_of_students_t_test(values: list[float]) -> None:
    found = interval(np.array(values))
    assert found.mean == pytest.approx(np.mean(values))
    if np.ptp(values) > 1e-3:
        expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
        assert (found.low > 0 or found.high < 0) == (stats.ttest_1samp(values, 0.0).pvalue < 0.05)


def test_the_interval_covers_the_mean_19_times_in_20() -> None:
    generator = np.random.default_rng(5)
    found = [interval(generator.normal(0.3, 0.1, 8)) for _ in range(1500)]
    covered = np.mean([one.low <= 0.3 <= one.high for one in found])
    assert abs(covered - 0.95) < 4 * np.sqrt(0.05 * 0.95 / 1500)


def test_values_that_are_all_equal_have_no_width_and_of_a_single_one_it_is_unknown() -> None:
    equal, alone = interval(np.array([0.25, 0.25, 0.25])), interval(np.array([0.25]))
    assert (equal.mean, equal.low, equal.high) == (0.25, 0.25, 0.25)
    assert (alone.mean, alone.low, alone.high) == (0.25, -np.inf, np.inf)
