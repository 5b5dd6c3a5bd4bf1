"""The hand-derived topologies: the growth rule in closed form, the baseline a user gives, the best of a family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evaluators.task import Fidelity, Score, Split
from evo.experiment.baselines import (
    baseline_row,
    best_member,
    candidates,
    evolved_law,
    given_baseline,
    growth_rule,
    tuned,
)
from evo.experiment.tune import Trial
from evo.settings import Settings
from evo.storage.names import BASELINES, PARALLEL_BUTTERFLY
from evo.storage.records import PhaseStarted, RunEvent
from evo.storage.results import Chosen, Finalist
from evo.storage.run import Run, open_run
from tests.fakes import SEED, HashEvaluator, recipe
from topologies import Topology, evolved, parallel_butterfly
from topologies.canonical import canonical
from topologies.expression import parse
from topologies.families import FAMILIES, members
from topologies.names import resolve


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run[Settings]]:
    """A run of 8 x 8 and 40 parameters."""
    with open_run(recipe(), HashEvaluator(), tmp_path, lambda event: None) as opened:
        yield opened


@pytest.mark.parametrize(("n", "digits"), [(4, 2), (8, 3), (16, 4)])
def test_the_growth_rule_deepens_one_butterfly_to_twice_its_digits_and_then_adds_copies(n: int, digits: int) -> None:
    assert growth_rule(n, n, digits * n - 1) is None
    for budget in range(digits * n, 7 * digits * n, n - 1):
        p, d = max(1, budget // (2 * digits * n)), min(2 * digits, budget // n)
        found = growth_rule(n, n, budget)
        assert found is not None
        assert found.label == f"p = {p}, d = {d}"
        assert found.topology == canonical(parallel_butterfly(n, p, d))
        assert found.topology.n_trainable == p * d * n <= budget


def test_the_growth_rule_at_the_size_and_budget_of_the_paper() -> None:
    found = growth_rule(32, 32, 640)
    assert found is not None
    assert (found.label, found.topology.n_trainable) == ("p = 2, d = 10", 640)


def test_the_growth_rule_fits_rectangles() -> None:
    found = growth_rule(8, 12, 90)
    assert found is not None
    assert (found.topology.n_in, found.topology.n_out, found.topology.is_connected) == (8, 12, True)
    assert found.topology.n_trainable <= 90


def test_every_row_is_of_a_family_and_the_parallel_butterfly_comes_first() -> None:
    assert next(iter(BASELINES)) == PARALLEL_BUTTERFLY
    assert set(BASELINES) <= set(FAMILIES)


@pytest.mark.parametrize("family", BASELINES)
def test_candidates_are_the_connected_members_where_there_are_any(family: str) -> None:
    assert candidates(family, 16, 16, 256) == members(family, 16, 16, 256) != []
    tight = [one.topology().n_trainable for one in candidates(family, 16, 16, 96)]
    assert tight and max(tight) <= 96


@pytest.mark.parametrize("seed", range(4))
def test_few_trials_never_miss_what_a_family_chooses_by_itself(seed: int, tmp_path: Path) -> None:
    places = {"hidden": [64, 64], "free_widths": True, "data": "digits"}
    settings = Settings.model_validate(
        {"name": "few", "seed": seed, "budget": 1280, "training": places, "tuning": {"trials": 2}}
    )
    for family in (PARALLEL_BUTTERFLY, "random_regular"):
        with open_run(settings, HashEvaluator(), tmp_path / family, lambda event: None) as run:
            tried = [trial.expression for trial in tuned(run, family)]
        assert FAMILIES[family].fit(64, 64, 640).expression in tried


def test_where_all_connected_members_are_too_large_shallower_ones_stand_in() -> None:
    assert members("hypercube", 16, 16, 150) == []
    shallow = [one.topology() for one in candidates("hypercube", 16, 16, 150)]
    assert shallow
    assert not any(one.is_connected for one in shallow)
    assert all(one.n_trainable <= 150 for one in shallow)


def test_a_family_is_tuned_on_the_search_targets_and_ranked_on_the_validation_targets(tmp_path: Path) -> None:
    evaluator, settings_ = HashEvaluator(), recipe()
    with open_run(settings_, evaluator, tmp_path, lambda event: None) as run:
        evaluator.calls.clear()
        trials = tuned(run, "clos")
        assert {(fidelity, split) for _, fidelity, split in evaluator.calls} == {
            (settings_.fidelity.search, Split.SEARCH)
        }
        asked = len(evaluator.calls)
        assert asked == len(trials) == len(members("clos", 8, 8, 40))
        best = best_member(run, "clos", trials)
    ranked = evaluator.calls[asked:]
    assert {(fidelity, split) for _, fidelity, split in ranked} == {(settings_.fidelity.validation, Split.VALIDATION)}
    assert [digest for digest, _, _ in ranked] == [one.topology.digest for one in trials[:3]]
    errors = {one.expression: on_validation(one.topology).error for one in trials[:3]}
    assert best is not None
    assert best.finalist.label == min(errors, key=errors.__getitem__)
    assert best.validation.error == min(errors.values())


def on_validation(topology: Topology) -> Score:
    """What the evaluator says on the validation split."""
    return HashEvaluator().evaluate(topology, recipe().fidelity.validation, Split.VALIDATION, SEED)


@pytest.mark.parametrize("name", ["random_regular(8, 8, 8, 3, 2)", "low_rank(8, 8, 2)", "clos(8, 2, 3, 2)"])
def test_a_baseline_that_is_given_has_a_row_of_its_own_beside_the_tuned_families(name: str, tmp_path: Path) -> None:
    with open_run(recipe(baseline=name), HashEvaluator(), tmp_path, lambda event: None) as run:
        given = given_baseline(run)
        assert given is not None
        assert (given.finalist.label, given.finalist.topology) == (name, canonical(parse(name)))
        butterflies = best_member(run, PARALLEL_BUTTERFLY, tuned(run, PARALLEL_BUTTERFLY))
        assert butterflies is not None
        assert baseline_row({"parallel butterfly": butterflies, "given baseline": given}) == "given baseline"
        assert len(tuned(run, "butterfly")) == len(members("butterfly", 8, 8, 40))


def test_a_baseline_of_another_size_is_refused(tmp_path: Path) -> None:
    changed = recipe(baseline="butterfly(16, 4)")
    with (
        pytest.raises(ValueError, match=r"'butterfly\(16, 4\)' is 16 x 16, the recipe 8 x 8"),
        open_run(changed, HashEvaluator(), tmp_path, lambda event: None) as run,
    ):
        tuned(run, PARALLEL_BUTTERFLY)


def test_a_baseline_above_the_budget_is_refused(tmp_path: Path) -> None:
    changed = recipe(baseline="butterfly(8, 6)")
    words = r"baseline 'butterfly\(8, 6\)' has 48 trainable edges, more than the budget of 40"
    with (
        pytest.raises(ValueError, match=words),
        open_run(changed, HashEvaluator(), tmp_path, lambda event: None) as run,
    ):
        given_baseline(run)


def test_members_that_failed_are_not_among_the_finalists(tmp_path: Path) -> None:
    evaluator = HashEvaluator()
    names = ["clos(8, 2, 3, 2)", "clos(8, 2, 2, 2)", "clos(8, 3, 2, 2)"]
    made = [Trial(number, name, canonical(parse(name))) for number, name in enumerate(names)]
    trials = [replace(made[0], score=Score((0.5,))), *made[1:]]
    with open_run(recipe(), evaluator, tmp_path, lambda event: None) as run:
        evaluator.calls.clear()
        best = best_member(run, "clos", trials)
    assert best is not None and best.finalist.label == names[0]
    assert [digest for digest, _, _ in evaluator.calls] == [made[0].topology.digest]


def test_a_family_of_which_nothing_could_be_evaluated_has_no_best_member(tmp_path: Path) -> None:
    class Hopeless(HashEvaluator):
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            if seed:
                raise RuntimeError("no")
            return super().evaluate(topology, fidelity, split, seed)

    with open_run(recipe(), Hopeless(), tmp_path, lambda event: None) as run:
        assert best_member(run, "clos", tuned(run, "clos")) is None


def test_phases_are_announced(run: Run[Settings]) -> None:
    seen: list[RunEvent] = []
    shown = replace(run, show=seen.append)
    tuned(shown, "butterfly")
    assert seen == [PhaseStarted("tune butterfly")]


def on_validation_of(errors: dict[str, float]) -> dict[str, Chosen]:
    """The chosen members of families with these errors; the hypercube's leaves pairs unconnected."""
    made = {
        "parallel_butterfly": "parallel_butterfly(16, 1, 5)",
        "butterfly": "butterfly(16, 4)",
        "clos": "clos(16, 4, 4, 4)",
        "hypercube": "hypercube(16, 2)",
        "random_regular": "random_regular(16, 16, 16, 4, 3)",
    }
    return {
        BASELINES[family]: Chosen(Finalist(made[family], canonical(parse(made[family]))), Score((error,)))
        for family, error in errors.items()
    }


@pytest.mark.parametrize(
    ("errors", "row"),
    [
        ({"parallel_butterfly": 0.9, "butterfly": 0.5, "clos": 0.1}, "parallel butterfly"),
        ({"butterfly": 0.5, "clos": 0.4, "random_regular": 0.1}, "Clos"),
        ({"butterfly": 0.4, "clos": 0.5}, "butterfly"),
        ({"butterfly": 0.4, "hypercube": 0.1}, "butterfly"),
        ({"hypercube": 0.1, "random_regular": 0.4}, "random regular"),
        ({"hypercube": 0.1}, None),
        ({}, None),
    ],
)
def test_the_row_to_beat_is_the_parallel_butterfly_or_the_best_connected_family(
    errors: dict[str, float], row: str | None
) -> None:
    chosen = on_validation_of(errors)
    assert all(one.finalist.topology.is_connected == (name != "hypercube") for name, one in chosen.items())
    assert baseline_row(chosen) == row


def test_the_evolved_law_is_a_row_of_one_wiring_where_it_can_connect() -> None:
    law = evolved_law(8, 12, 60)
    assert law is not None and law.topology == evolved(8, 12, 60).canonical
    assert resolve(law.label) == evolved(8, 12, 60)
    assert evolved_law(8, 12, 11) is None
