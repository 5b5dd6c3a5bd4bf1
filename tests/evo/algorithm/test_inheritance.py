"""Offspring are trained at what their parent was best at, now and then beside it, and every run does so alike."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from evaluators import Fidelity, Score, Split
from evo.algorithm.inheritance import NEIGHBOUR_SHARE, Grid, Inherited, inherited
from evo.algorithm.nsga2 import Policy
from evo.experiment.search import Result, search
from evo.storage.checkpoint import cut
from evo.storage.header import records_of
from evo.storage.history import History
from evo.storage.records import ScoreRecord
from tests.evo.own_data import data_file, trained
from tests.fakes import HashEvaluator, recipe
from topologies import Topology

GRID = Grid((0.3, 0.1, 1.0), (0.0, 0.1))
RATES = {"rates": list(GRID.rates), "weight_decays": list(GRID.weight_decays), "inherit_rates": True}


class ByDigest(HashEvaluator):
    """The rate and decay of least error follow from the digest."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        score = super().evaluate(topology, fidelity, split, seed)
        rate = fidelity.rates[int(topology.digest[:4], 16) % len(fidelity.rates)]
        return Score(score.errors, rate, fidelity.weight_decays[int(topology.digest[4:8], 16) % len(fidelity.weight_decays)])  # fmt: skip # noqa: E501


def test_most_take_after_their_parent_and_the_others_are_one_step_of_the_grid_away() -> None:
    draws = [inherited(Score((0.5,), 0.1, 0.1), GRID, np.random.default_rng(seed)) for seed in range(2000)]
    count = Counter((one.learning_rate, one.weight_decay) for one in draws if one)
    assert set(count) == {(0.1, 0.1), (0.3, 0.1), (0.1, 0.0)}
    assert count[0.1, 0.1] / 2000 == pytest.approx(1 - NEIGHBOUR_SHARE, abs=0.04)
    assert count[0.3, 0.1] / 2000 == pytest.approx(NEIGHBOUR_SHARE / 2, abs=0.03)


def test_of_a_parent_that_chose_nothing_nothing_is_inherited() -> None:
    key = np.random.default_rng(0)
    assert inherited(None, GRID, key) is None and inherited(Score((0.5,)), GRID, key) is None
    alone = Grid((0.5,), (0.0,))
    assert all(
        inherited(Score((0.5,), 0.5), alone, np.random.default_rng(seed)) == Inherited(0.5, 0.0) for seed in range(40)
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    settings = recipe(evaluator="tests.fakes:HashEvaluator", fidelity=RATES, loop={"generations": 12})
    return search(settings, ByDigest(), folder=tmp_path_factory.mktemp("heirs") / "run")


def test_each_candidates_fidelity_is_its_parents_choice_and_is_in_the_journal(result: Result) -> None:
    history = History.of(result.folder)
    grid = {(rate, decay) for rate in GRID.rates for decay in GRID.weight_decays}
    for policy in Policy:
        scores = {one.number: one for one in history.scores(policy.value)}
        bred = [one for one in scores.values() if len(one.fidelity.rates) == 1]
        first = [one for one in scores.values() if one.origin.generation == 0]
        assert all(one.fidelity.rates == GRID.rates for one in first)
        assert all(len(one.fidelity.weight_decays) == 1 for one in bred) and len(bred) > len(scores) / 3
        whole = [one for one in scores.values() if len(one.fidelity.rates) > 1]
        assert all(not one.origin.parents for one in whole), "what has a parent inherits"
        assert len(whole) >= len(first)
        same = 0
        for one in bred:
            at = (one.fidelity.rates[0], one.fidelity.weight_decays[0])
            assert at in grid and one.score is not None and one.score.learning_rate == at[0]
            if one.origin.parents:
                parent = scores[one.origin.parents[0]].score
                assert parent is not None
                same += at == (parent.learning_rate, parent.weight_decay)
        if policy is Policy.EVOLUTION:
            assert 0.6 < same / sum(bool(one.origin.parents) for one in bred) < 0.95


def test_races_go_on_at_what_was_inherited(result: Result) -> None:
    promoted = [one for one in History.of(result.folder).scores("evolution") if one.entry and one.origin.parents]
    assert promoted
    for one in promoted:
        assert one.score is not None and one.score.learning_rate == one.fidelity.rates[0]


def test_finalists_are_tried_at_the_whole_grid(result: Result) -> None:
    (first, *_) = History.of(result.folder).scores("validation: evolved champion")
    assert len(first.fidelity.rates) == 7


def test_a_run_that_was_cut_off_inherits_the_same(result: Result, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(result.folder, tmp_path / "run")
    cut(folder, len(records_of(folder)) // 2)
    again = search(
        recipe(evaluator="tests.fakes:HashEvaluator", fidelity=RATES, loop={"generations": 12}),
        ByDigest(),
        folder=folder,
    )
    assert again.digest == result.digest and again.table == result.table


def test_it_is_the_default_and_a_recipe_may_do_without(tmp_path: Path) -> None:
    data = data_file(tmp_path)
    assert recipe().fidelity.inherit_rates and trained(data).fidelity.inherit_rates
    assert not trained(data, fidelity={"inherit_rates": False}).fidelity.inherit_rates


@pytest.mark.end_to_end
def test_a_search_on_data_tries_offspring_at_one_rate(tmp_path: Path) -> None:
    fidelity = {
        "steps": 2, "rates": [0.01, 0.03], "race_targets": 2, "finalists": 1, "validation_targets": 1,
        "validation_steps": 2, "validation_rates": [0.01], "validation_weight_decays": [0.0], "test_targets": 2,
    }  # fmt: skip
    settings = trained(data_file(tmp_path), fidelity=fidelity, loop={"generations": 6, "offspring": 4, "population": 4})
    result = search(settings, folder=tmp_path / "run")
    scores = [one for one in records_of(result.folder) if isinstance(one, ScoreRecord) and one.phase == "evolution"]
    assert {len(one.fidelity.rates) for one in scores if one.origin.parents} == {1}
    assert {len(one.fidelity.rates) for one in scores if one.origin.generation == 0} == {2}
