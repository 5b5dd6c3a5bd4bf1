"""Grids grow where their end is best: by their own spacing, within reason, and the row says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluators import Fidelity, Score, Split
from evo.experiment import validation
from evo.experiment.grid import added, grown, remark
from evo.experiment.validation import choose, compared
from evo.settings import Settings
from evo.storage import names
from evo.storage.header import records_of
from evo.storage.records import ScoreRecord
from evo.storage.results import Finalist
from evo.storage.run import open_run
from tests.evo.own_data import data_file, trained
from topologies import Topology, butterfly, hypercube
from topologies.canonical import canonical

GRID = Fidelity(1, 2, (0.01, 0.03, 0.003), (0.0, 0.1, 0.3))


def at(rate: float, decay: float = 0.1, error: float = 0.5) -> Score:
    return Score((error,), rate, decay)


@pytest.mark.parametrize(
    ("score", "rates", "decays"),
    [
        (at(0.01), (), ()),
        (at(0.03), (0.09,), ()),
        (at(0.003), (0.0009,), ()),
        (at(0.01, 0.0), (), ()),
        (at(0.01, 0.3), (), (0.9,)),
        (at(0.03, 0.3), (0.09,), (0.9,)),
    ],
    ids=["within", "above", "below", "no decay", "more decay", "a corner"],
)
def test_an_end_that_is_chosen_grows_by_the_spacing(
    score: Score, rates: tuple[float, ...], decays: tuple[float, ...]
) -> None:
    after = grown(GRID, score)
    assert after.rates == (*GRID.rates, *map(pytest.approx, rates))
    assert after.weight_decays == (*GRID.weight_decays, *map(pytest.approx, decays))
    tried = {(rate, decay) for one in added(GRID, after) for rate in one.rates for decay in one.weight_decays}
    every = {(rate, decay) for rate in after.rates for decay in after.weight_decays}
    assert tried == every - {(rate, decay) for rate in GRID.rates for decay in GRID.weight_decays}


def test_what_is_given_alone_stays_alone_and_two_decays_have_a_spacing() -> None:
    assert grown(Fidelity(1, 2, (0.1,), (0.3,)), at(0.1, 0.3)) == Fidelity(1, 2, (0.1,), (0.3,))
    assert grown(Fidelity(1, 2, (0.1,), (0.0, 0.2)), at(0.1, 0.2)).weight_decays == (0.0, 0.2, 0.6)
    assert grown(Fidelity(1, 2, (0.1, 0.2)), Score((0.5,))) == Fidelity(1, 2, (0.1, 0.2))


def test_a_row_says_what_it_chose_beyond_the_grid_and_where_growing_ended() -> None:
    assert remark(GRID, at(0.03, 0.3)) == ""
    assert remark(GRID, at(0.09, 0.9)) == "rate 0.09 from beyond the grid, weight decay 0.9 from beyond the grid"
    assert remark(GRID, at(0.81)) == "rate 0.81 from beyond the grid, still at its end"
    assert (
        remark(Fidelity(1, 2, (0.01, 0.02)), at(0.00125, 0.0)) == "rate 0.00125 from beyond the grid, still at its end"
    )


class LikesRates:
    """Errors that are least at one rate and decay; the bits of a part of the grid are those of the whole."""

    def __init__(self, rate: float, decay: float) -> None:
        self.best = (rate, decay)

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        def error(rate: float, decay: float) -> float:
            return 0.1 + abs(float(np.log(rate / self.best[0]))) / 100 + abs(decay - self.best[1]) / 100

        choices = [(rate, decay) for rate in fidelity.rates for decay in fidelity.weight_decays]
        rate, decay = min(choices, key=lambda one: error(*one))
        return Score((error(rate, decay) + topology.n_edges / 1e6,) * fidelity.targets, rate, decay)


def chosen_by(evaluator: LikesRates, settings: Settings, folder: Path) -> tuple[Score, str]:
    finalists = [Finalist(f"depth {depth}", canonical(butterfly(8, depth))) for depth in (3, 4)]
    with open_run(settings, evaluator, folder, lambda event: None) as run:
        best = choose(run, "a row", [*finalists, Finalist("", canonical(hypercube(8, 3)))])
        assert best is not None
        return best.validation, compared(run, {"a row": best}, "a row").first.label


@pytest.mark.parametrize(
    ("liked", "found", "told"),
    [
        ((0.01, 0.1), (0.01, 0.1), ""),
        ((0.09, 0.1), (0.09, 0.1), "rate 0.09 from beyond the grid"),
        ((0.0001, 0.9), (8.1e-05, 0.9), "rate 8.1e-05 from beyond the grid, still at its end"),
    ],
    ids=["within", "one step", "as far as it goes"],
)
def test_every_row_is_tried_beyond_the_grid_where_its_end_is_best(
    liked: tuple[float, float], found: tuple[float, float], told: str, tmp_path: Path
) -> None:
    fidelity = {
        "validation_rates": [0.003, 0.01, 0.03], "validation_weight_decays": [0.0, 0.1, 0.3],
        "rates": [0.01], "validation_targets": 2, "validation_steps": 2, "test_targets": 2, "finalists": 2,
    }  # fmt: skip
    settings = trained(data_file(tmp_path), fidelity=fidelity)
    score, label = chosen_by(LikesRates(*liked), settings, tmp_path / "run")
    assert (score.learning_rate, score.weight_decay) == found
    assert told in label and ("beyond" in label) == bool(told)
    records = [one for one in records_of(tmp_path / "run") if isinstance(one, ScoreRecord)]
    assert all(one.split is Split.VALIDATION for one in records if "beyond" in one.phase)
    (tested,) = (one for one in records if one.phase == names.test("a row"))
    assert tested.fidelity.rates == (score.learning_rate,)


def test_without_data_to_train_on_grids_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.fakes import recipe

    def never(*_: object) -> object:
        raise AssertionError

    monkeypatch.setattr(validation, "grown", never)
    score, label = chosen_by(LikesRates(9.0, 0.0), recipe(budget=40), tmp_path / "run")
    assert score.learning_rate == 4.8 and "beyond" not in label
