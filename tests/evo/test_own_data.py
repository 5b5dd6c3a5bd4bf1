"""Searches on data and targets of one's own, from a recipe to the champion's file."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from evaluators import Data, MatrixReconstruction, Split, TrainedAccuracy
from evo.cli import app
from evo.console.search import show_plan
from evo.experiment.compare import verify
from evo.experiment.plan import plan
from evo.experiment.search import Result, search
from evo.report.text import description
from evo.settings import Settings, load, validate
from evo.storage.header import agree, fork, new_header, recipe_of, records_of
from evo.storage.history import History
from evo.storage.pools import evaluator_of
from evo.storage.records import ScoreRecord
from tests.evaluators.training.examples import blobs, two_layers

HOME = Path(__file__).parents[2]

SMALL: dict[str, Any] = {
    "seed": 3,
    "budget": 24,
    "loop": {"generations": 2, "offspring": 4, "population": 4},
    "tuning": {"trials": 2},
    "cluster": {"pool": "in-process"},
}
EPOCHS: dict[str, Any] = {
    "steps": 2, "rates": [0.02], "race_targets": 2, "finalists": 1,
    "validation_targets": 1, "validation_steps": 2, "validation_rates": [0.01, 0.03],
    "validation_weight_decays": [0.0, 0.1], "test_targets": 2,
}  # fmt: skip
STEPS: dict[str, Any] = {
    "targets": 2, "steps": 20, "validation_targets": 2, "validation_steps": 30, "validation_rates": [0.6],
    "test_targets": 4, "race_targets": 4, "finalists": 2,
}  # fmt: skip


def data_file(folder: Path, seed: int = 0) -> str:
    """Data of 8 inputs and three classes in a file."""
    x, y = blobs(seed=seed)
    np.savez(folder / "mine.npz", x_train=x, y_train=y)
    return str(folder / "mine.npz")


def trained(data: str, **changes: Any) -> Settings:
    """A search of a minute's training at most, on data."""
    training = {"data": data, "hidden": [8, 8], **changes.pop("training", {})}
    return validate({**SMALL, "training": training, "fidelity": EPOCHS, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    """A finished search on data."""
    return search(trained(data_file(folder)), folder=folder / "run")


@pytest.mark.end_to_end
def test_a_search_on_data_repeats_and_its_file_states_what_verify_finds(result: Result, folder: Path) -> None:
    again = search(trained(str(folder / "mine.npz")), folder=folder / "again")
    assert again.digest == result.digest and again.table == result.table
    found = verify(result.folder)
    assert found.found.mean == found.stated == result.table.first.error.mean
    assert result.champion.n_trainable <= 24
    assert all(0 <= error <= 1 for row in result.table.rows for error in row.errors)


@pytest.mark.end_to_end
def test_weight_decay_is_chosen_on_validation_data_and_kept_for_the_test(result: Result) -> None:
    scores = [one for one in records_of(result.folder) if isinstance(one, ScoreRecord)]
    tested = [one for one in scores if one.split is Split.TEST]
    assert tested and all(len(one.fidelity.rates) == len(one.fidelity.weight_decays) == 1 for one in tested)
    validated = [one for one in scores if one.split is Split.VALIDATION and one.score is not None]
    assert {one.fidelity.weight_decays for one in validated} >= {(0.0, 0.1)}
    for row in result.table.rows:
        within = row.weight_decay in (0.0, 0.1) and row.learning_rate in (0.01, 0.03)
        assert within == ("beyond the grid" not in row.label)
    assert all(one.fidelity.steps == 2 and one.fidelity.targets == 2 for one in tested)


@pytest.mark.end_to_end
def test_the_report_speaks_of_trainings_and_of_the_data(result: Result) -> None:
    text = description(History.of(result.folder))
    assert "on 2 test trainings, trained for 2 epochs" in text and "error of trained models" in text
    assert "mine.npz` (8 inputs, 3 classes; " in text and "relative error" not in text


@pytest.mark.end_to_end
def test_a_run_goes_on_with_the_data_that_it_was_begun_with_alone(
    result: Result, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(result.folder, tmp_path / "run")
    assert search(validate(recipe_of(run)), folder=run).digest == result.digest
    assert fork(run).name == "run-fork"
    other = tmp_path / "others"
    other.mkdir()
    changed = trained(data_file(other, seed=1))
    with pytest.raises(ValueError, match=r"a run of another recipe \(found, training differ\)"):
        search(changed, folder=run)
    kept = (folder / "mine.npz").read_bytes()
    try:
        shutil.copy(other / "mine.npz", folder / "mine.npz")
        for command in (["resume", str(run)], ["verify", str(run)]):
            told = CliRunner().invoke(app, command).exception
            assert isinstance(told, ValueError) and "mine.npz holds other data now than when the run was begun" in str(
                told
            )
    finally:
        (folder / "mine.npz").write_bytes(kept)


def test_a_run_whose_evaluator_is_from_python_is_not_continued_on_other_data() -> None:
    """Nor on data whose test part alone is another, which no small evaluation meets."""
    x, y = blobs()
    settings = validate({**SMALL, "n_in": 8, "n_out": 8})
    evaluators = [TrainedAccuracy(Data.of(x, y, x[:50], y[:50] + turn), [8]) for turn in (0, 1)]
    records = [new_header(settings, evaluators[0], {}, "cpu")]
    assert agree(records, settings, TrainedAccuracy(Data.of(x, y, x[:50], y[:50]), [8])) == []
    with pytest.raises(ValueError, match="the evaluator does not compute what it did when the run was begun"):
        agree(records, settings, evaluators[1])


@pytest.mark.end_to_end
def test_a_search_on_one_matrix_says_that_nothing_is_held_out(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    np.savez(tmp_path / "w.npz", w=draw.normal(size=(8, 6)))
    settings = validate({**SMALL, "targets": str(tmp_path / "w.npz"), "fidelity": STEPS})
    assert (settings.n_in, settings.n_out) == (8, 6)
    result = search(settings, folder=tmp_path / "run")
    assert "nothing is held out" in description(History.of(result.folder))
    assert verify(result.folder).found.mean == result.table.first.error.mean
    assert MatrixReconstruction().evaluate(
        result.champion, settings.fidelity.validation, Split.TEST, 3
    ) != evaluator_of(settings).evaluate(result.champion, settings.fidelity.validation, Split.TEST, 3)


def test_sizes_and_defaults_follow_from_the_data(tmp_path: Path) -> None:
    name = data_file(tmp_path)
    settings = validate({"budget": 24, "training": {"data": name, "hidden": [8]}})
    assert (settings.n_in, settings.n_out, settings.evaluator) == (8, 8, "evaluators.training:TrainedAccuracy")
    fidelity = settings.fidelity
    assert (fidelity.steps, fidelity.validation_steps, fidelity.test_targets) == (4, 16, 5)
    assert fidelity.validation.weight_decays == (0.0, 0.1, 0.3)
    assert validate(settings.model_dump(mode="json")) == settings
    assert all(phase.fidelity.steps in (4, 16) for phase in plan(settings))
    wide = validate({"budget": 30, "training": {"data": name, "hidden": [20]}, "n_in": 8, "n_out": 20})
    evaluator = evaluator_of(wide)
    assert isinstance(evaluator, TrainedAccuracy) and evaluator.size == (8, 20)


def test_a_model_of_ones_own_takes_its_sizes_from_the_recipe(tmp_path: Path) -> None:
    model = {"model": f"{two_layers.__module__}:two_layers", "places": 2, "hidden": None}
    settings = trained(data_file(tmp_path), training=model, n_in=8, n_out=8)
    evaluator = evaluator_of(settings)
    assert isinstance(evaluator, TrainedAccuracy) and (evaluator.size, evaluator.places) == ((8, 8), 2)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "another size": (
        {"n_in": 9},
        r"n_in = 9, but the .*mine\.npz and hidden widths make layers of 8 x 8: leave it out",
    ),
    "layers of two sizes": ({"training": {"hidden": [8, 4]}}, "so far all layers of a search have one size"),
    "no model": ({"training": {"hidden": None}}, r"training: either hidden = \[256, 256\]"),
    "two models": ({"training": {"model": "mine:model"}}, "training: either hidden"),
    "places twice": ({"training": {"places": 2}}, "training: places is for a model of your own"),
    "no sizes": ({"training": {"hidden": None, "model": "mine:model"}}, "n_in and n_out are wanted beside"),
    "no such data": ({"training": {"data": "none.npz"}}, 'data = "none.npz": is not there'),
    "another format": ({"training": {"data": __file__}}, r"only \.npz files are read, not \.py"),
    "a misspelt key": ({"training": {"widths": [8]}}, r"unknown key 'training\.widths'"),
    "another evaluator": ({"evaluator": "mine:Mine"}, "training is for the evaluator"),
    "targets too": ({"targets": "layers.npz"}, "training and targets exclude each other"),
    "an epoch": ({"fidelity": {"steps": 1}}, "with \\[training\\] these are epochs"),
    "a negative decay": ({"fidelity": {"weight_decays": [-1]}}, "fidelity.weight_decays"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_recipe_that_contradicts_its_data_is_one_line(name: str, tmp_path: Path) -> None:
    changes, told = BAD[name]
    with pytest.raises(ValueError, match=told) as caught:
        trained(data_file(tmp_path), **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"targets": "none.npz"}, 'targets = "none.npz": there is no file'),
        ({"targets": 7}, "targets = 7"),
        ({"targets": "a.npz", "evaluator": "mine:Mine"}, "targets is for the evaluator"),
        ({"evaluator": "evaluators.training:TrainedAccuracy"}, r"needs a section \[training\]"),
        ({"fidelity": {"weight_decays": [0.1]}}, "reconstruction has no weight decay"),
    ],
    ids=["no file", "a number", "another evaluator", "nothing to train on", "decay"],
)
def test_own_targets_and_evaluators_that_do_not_fit_are_one_line(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        validate(values)


def test_the_recipe_for_digits_is_whole_and_its_cost_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HOME)
    settings = load(Path("runs/digits.toml"))
    assert (settings.n_in, settings.n_out) == (64, 64)
    console = Console(width=120, file=io.StringIO(), record=True)
    show_plan(settings, console)
    text = console.export_text()
    assert "minutes on" in text and "64 inputs, 10 classes; 864 examples to train on" in text
