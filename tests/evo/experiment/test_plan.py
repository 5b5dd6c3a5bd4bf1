"""The estimate before a search against what the search then does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from evaluators.task import Fidelity, Split
from evo.experiment.pace import seconds_per_step
from evo.experiment.plan import plan, planned_workers
from evo.experiment.search import search
from evo.settings import Settings
from evo.storage.header import records_of
from evo.storage.records import PhaseStarted, RunEvent, ScoreRecord
from tests.evo.experiment.clock import steps_taken
from tests.evo.histories import Formula
from tests.fakes import HashEvaluator, recipe

RECIPES = [
    recipe(),
    recipe(n_out=12, budget=60, loop={"generations": 2}),
    recipe(initial_population=["clos(8, 2, 3, 2)"], tuning={"trials": 5}, fidelity={"finalists": 9}),
    recipe(n_in=7, n_out=7, budget=42, bounds={"max_depth": 3}),
]


def kind(record: ScoreRecord) -> str:
    """The first word of a record's phase, and whether a candidate was scored at what it inherited."""
    word = record.phase.partition(" ")[0]
    return f"{word} inherited" if word in ("evolution", "random") and len(record.fidelity.rates) == 1 else word


@pytest.mark.parametrize("settings", RECIPES, ids=lambda one: f"{one.n_in}x{one.n_out}")
def test_a_search_does_no_more_than_was_planned_and_not_much_less(settings: Settings, tmp_path: Path) -> None:
    planned = {phase.name: phase.evaluations for phase in plan(settings)}
    search(settings, HashEvaluator(), folder=tmp_path)
    made = Counter(kind(one) for one in records_of(tmp_path) if isinstance(one, ScoreRecord))
    pairs = {
        "tune the hand-derived families": made["tune"],
        "evolution": made["evolution"],
        "evolution at inherited rates": made["evolution inherited"],
        "random search": made["random"],
        "random search at inherited rates": made["random inherited"],
        "validation": made["validation:"],
        "validation of the best": made["final"],
        "test": made["test:"],
    }
    assert {name for name, number in pairs.items() if number} <= planned.keys() <= {*pairs, "promotions"}
    for name, number in pairs.items():
        assert 0.6 * planned.get(name, 0) <= number <= planned.get(name, 0), name


def promoted(folder: Path) -> int:
    """Evaluations of promoted candidates in a run's journal, of evolution and of random search."""
    return sum(
        isinstance(one, ScoreRecord) and one.entry is not None and one.phase in ("evolution", "random search")
        for one in records_of(folder)
    )


def test_promotions_are_planned_as_a_share_of_all_candidates(tmp_path: Path) -> None:
    settings = recipe(loop={"generations": 40})
    phases = {phase.name: phase for phase in plan(settings)}
    promotions = phases["promotions"]
    fidelity = settings.fidelity
    assert promotions.fidelity == Fidelity(fidelity.race_targets, fidelity.steps, fidelity.rates[:1])
    search(settings, Formula(), folder=tmp_path)
    assert 0.4 * promotions.evaluations <= promoted(tmp_path) <= 2 * promotions.evaluations


def test_the_phases_are_those_of_a_search_in_its_order(tmp_path: Path) -> None:
    settings, seen = recipe(), list[RunEvent]()
    search(settings, HashEvaluator(), folder=tmp_path, watcher=seen.append)
    started = [one.phase for one in seen if isinstance(one, PhaseStarted)]
    names = [phase.name for phase in plan(settings)]
    assert names == [
        "tune the hand-derived families",
        "evolution",
        "evolution at inherited rates",
        "random search",
        "random search at inherited rates",
        "promotions",
        "validation",
        "validation of the best",
        "test",
    ]
    assert [name for name in names if name in started] == [name for name in started if not name.startswith("tune ")]


def test_the_fidelities_are_those_of_the_recipe(tmp_path: Path) -> None:
    settings = recipe(fidelity={"finalists": 9})
    fidelity = settings.fidelity
    by_name = {phase.name: phase.fidelity for phase in plan(settings)}
    assert by_name["tune the hand-derived families"] == by_name["evolution"] == by_name["random search"]
    assert by_name["evolution"] == fidelity.search
    assert by_name["validation"] == fidelity.validation
    assert by_name["test"].targets == fidelity.test_targets
    search(settings, HashEvaluator(), folder=tmp_path)
    asked = {
        kind(one): (one.fidelity.targets, one.fidelity.steps, len(one.fidelity.rates))
        for one in records_of(tmp_path)
        if isinstance(one, ScoreRecord)
    }
    for word, name in {
        "tune": "tune the hand-derived families",
        "evolution": "evolution",
        "evolution inherited": "evolution at inherited rates",
        "random": "random search",
        "validation:": "validation",
        "final": "validation of the best",
        "test:": "test",
    }.items():
        planned = by_name[name]
        assert asked[word] == (planned.targets, planned.steps, len(planned.rates)), name


@pytest.mark.parametrize("workers", [1, 2, 8, 64])
@pytest.mark.parametrize("inherit", [True, False])
def test_it_takes_as_long_as_few_candidates_under_way_let_it(workers: int, inherit: bool) -> None:
    loop = {"generations": 80, "offspring": 2}
    settings = recipe(loop=loop, fidelity={"inherit_rates": inherit, "rates": (0.3, 1.0), "race_targets": 4})
    length = sum(phase.length(workers) for phase in plan(settings))
    assert 0.8 <= length / steps_taken(settings, workers) <= 1.05


def test_cost_counts_steps_over_targets_and_rates() -> None:
    assert Fidelity(3, 50, (0.1, 0.2)).cost == 300
    assert Fidelity(3, 50, (0.1, 0.2), (0.0, 0.1, 0.3)).cost == 900
    evolution = next(phase for phase in plan(recipe(fidelity={"rates": (0.3, 1.0, 3.0)})) if phase.name == "evolution")
    assert evolution.cost == evolution.evaluations * 2 * 5 * 3


@pytest.mark.parametrize("settings", [recipe(), recipe(n_in=11, n_out=11, budget=22)], ids=["8x8", "no growth rule"])
def test_the_speed_is_measured_on_the_recipes_own_evaluator(settings: Settings) -> None:
    slow = settings.model_copy(update={"evaluator": "tests.fakes:SleepyEvaluator"})
    assert 1.0 <= seconds_per_step(slow)[Split.SEARCH] / 1e-4 < 20.0


def test_the_process_of_the_search_is_one_worker() -> None:
    assert planned_workers(recipe(cluster={"pool": "in-process", "workers": 7})) == 1
    assert planned_workers(recipe(cluster={"pool": "ray", "workers": 7})) == 7
