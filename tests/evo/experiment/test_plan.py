"""The estimate before a search against what the search then does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from evaluators.task import Fidelity
from evo.experiment.plan import cost, plan, seconds_per_step
from evo.experiment.search import search
from evo.settings import Settings
from evo.storage.header import JOURNAL
from evo.storage.journal import read
from tests.fakes import HashEvaluator, recipe

RECIPES = [
    recipe(),
    recipe(n_out=12, budget=60, loop={"generations": 2}),
    recipe(founders=["clos(8, 2, 3, 2)"], tuning={"trials": 5}, fidelity={"finalists": 9}),
    recipe(n_in=7, n_out=7, budget=42, bounds={"max_depth": 3}),
]


@pytest.mark.parametrize("settings", RECIPES, ids=lambda one: f"{one.n_in}x{one.n_out}")
def test_a_search_does_no_more_than_was_planned_and_not_much_less(settings: Settings, tmp_path: Path) -> None:
    planned = {phase.name: phase.evaluations for phase in plan(settings)}
    search(settings, HashEvaluator(), folder=tmp_path)
    made = Counter(one["phase"].partition(" ")[0] for one in read(tmp_path / JOURNAL)[0] if one["kind"] == "score")
    pairs = {
        "tune the hand-derived families": made["tune"],
        "evolution": made["evolution"],
        "random search": made["random"],
        "rank finalists": made["choice:"],
        "rank the best of them": made["closer"],
        "test table": made["test:"],
    }
    assert planned.keys() == pairs.keys()
    for name, number in pairs.items():
        assert 0.6 * planned[name] <= number <= planned[name], name


def test_the_fidelities_are_those_of_the_recipe() -> None:
    settings = recipe()
    fidelity = settings.fidelity
    by_name = {phase.name: phase.fidelity for phase in plan(settings)}
    assert by_name["evolution"] == by_name["random search"] == fidelity.search
    assert by_name["rank finalists"] == fidelity.validation
    assert by_name["test table"].targets == fidelity.test_targets


def test_cost_counts_steps_over_targets_and_rates() -> None:
    assert cost(Fidelity(3, 50, (0.1, 0.2))) == 300
    evolution = next(phase for phase in plan(recipe(fidelity={"rates": (0.3, 1.0, 3.0)})) if phase.name == "evolution")
    assert evolution.cost == evolution.evaluations * 2 * 5 * 3


@pytest.mark.parametrize("settings", [recipe(), recipe(n_in=11, n_out=11, budget=22)], ids=["8x8", "no growth rule"])
def test_the_speed_is_measured_on_the_recipes_own_evaluator(settings: Settings) -> None:
    slow = settings.model_copy(update={"evaluator": "tests.fakes:SleepyEvaluator"})
    assert 1.0 <= seconds_per_step(slow) / 1e-4 < 20.0
