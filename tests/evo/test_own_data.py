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
from evo.experiment.baselines import dense_of
from evo.experiment.compare import verify
from evo.experiment.plan import plan
from evo.experiment.search import Result, search
from evo.own_data import TRAINING
from evo.recipe import load, validate
from evo.report.csv_tables import finalists_csv
from evo.report.description import description
from evo.report.figures import final_table as drawn_table
from evo.report.final_table import comparison_table
from evo.report.html.page import report_page
from evo.report.numbers import difference
from evo.report.words import words_of
from evo.storage.header import agree, fork, new_header, recipe_of, records_of
from evo.storage.history import History
from evo.storage.names import DENSE
from evo.storage.pools import evaluator_of
from evo.storage.records import Header, ScoreRecord
from evo.storage.results import interval
from tests.commands import Commands
from tests.evaluators.training.examples import blobs, two_layers
from tests.evo.own_data import EPOCHS, SMALL, STEPS, data_file, trained
from topologies.stack import Stack

HOME = Path(__file__).parents[2]


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
    assert isinstance(result.champion, Stack) and result.champion.sizes == ((8, 8), (8, 8))
    assert result.champion.n_trainable == 48
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


@pytest.mark.parametrize(("task", "meaning"), [("classification", "wrong answers"), ("regression", "the variance")])
def test_what_the_error_of_a_trained_model_is_is_said_where_it_is_told(
    finished: History, tmp_path: Path, task: str, meaning: str
) -> None:
    x, y = blobs()
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y.astype(float))
    values = trained(str(tmp_path / "mine.npz"), training={"task": task}).model_dump(mode="json")
    header, *rest = finished.records
    assert isinstance(header, Header) and finished.table is not None
    told = header.model_copy(update={"evaluator": TRAINING, "settings": header.settings | values})
    history = History(finished.folder, (told, *rest))
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(comparison_table(finished.table, words_of(TRAINING, values), 80))
    words = f"error of trained models (the share of {meaning}"
    assert words in description(history) and words in description(History(finished.folder, (told, *rest[:-10])))
    assert words in report_page(history, {}) and f"error: the share of {meaning}" in console.export_text()


@pytest.mark.end_to_end
def test_dense_layers_have_a_row_that_is_no_topology_to_use(result: Result, folder: Path) -> None:
    dense = result.table.get(DENSE)
    assert dense is not None and dense.topology.n_trainable == dense.topology.n_edges == 2 * 64
    assert result.table.best is not dense and result.table.baseline is not dense
    assert "With 37.5 % of their weights the champion is " in description(History.of(result.folder))
    without = trained(str(folder / "mine.npz"), training={"dense": False})
    assert dense_of(without) == [] and len(plan(without)) < len(plan(trained(str(folder / "mine.npz"))))


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
        for command in (["resume", str(run), "--generations", "3"], ["verify", str(run)]):
            told = CliRunner().invoke(app, command).exception
            assert isinstance(told, ValueError) and "mine.npz holds other data now than when the run was begun" in str(
                told
            )
    finally:
        (folder / "mine.npz").write_bytes(kept)


@pytest.mark.end_to_end
def test_a_run_that_has_ended_is_reported_and_shown_without_its_data(
    result: Result, folder: Path, tmp_path: Path, command: Commands
) -> None:
    run, data = shutil.copytree(result.folder, tmp_path / "run"), folder / "mine.npz"
    data.rename(folder / "moved.npz")
    try:
        bare = command(tmp_path, "resume", "run").stdout  # and names nothing that is not there
        assert (
            f'What MLflow lacks of it: evofabric track "{run}"' in bare and f'Report: evofabric report "{run}"' in bare
        )
        assert command(tmp_path, "report", "run").returncode == 0
        assert "tm.convert(model" in (run / "report.html").read_text()
        again = command(tmp_path, "resume", "run")
        assert again.returncode == 0 and "The search has ended" in again.stdout and result.digest in again.stdout
        assert f"Report: {run / 'report.html'}" in again.stdout
        longer = command(tmp_path, "resume", "run", "--generations", "3")
        assert longer.returncode == 2 and longer.stderr.count("\n") == 1
        assert f'data = "{data}": is not there' in longer.stderr
    finally:
        (folder / "moved.npz").rename(data)


def test_a_run_whose_evaluator_is_from_python_is_not_continued_on_other_data() -> None:
    """Nor on data whose test part alone is another, which no small evaluation meets."""
    x, y = blobs()
    settings = validate({**SMALL, "n_in": 8, "n_out": 8})
    evaluators = [TrainedAccuracy(Data.of(x, y, x[:50], y[:50] + turn), [8]) for turn in (0, 1)]
    records = [new_header(settings, evaluators[0], {}, "cpu")]
    assert agree(records, settings, TrainedAccuracy(Data.of(x, y, x[:50], y[:50]), [8])) == []
    with pytest.raises(ValueError, match="the evaluator does not compute what it did when the run was begun"):
        agree(records, settings, evaluators[1])


def test_a_run_goes_on_where_the_same_data_are_told_of_in_other_words(tmp_path: Path) -> None:
    settings = trained(data_file(tmp_path))
    header = new_header(settings, None, {}, "cpu")
    earlier = {**header.settings, "found": {**header.settings["found"], "about": "data", "task": None}}
    records = [header.model_copy(update={"settings": earlier})]
    assert agree(records, settings, evaluator_of(settings)) == []
    other = {**header.settings, "found": {**header.settings["found"], "fingerprint": "another"}}
    with pytest.raises(ValueError, match="a run of another recipe"):
        agree([header.model_copy(update={"settings": other})], settings, evaluator_of(settings))


@pytest.mark.end_to_end
def test_a_search_on_one_matrix_says_that_nothing_is_held_out(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    np.savez(tmp_path / "w.npz", w=draw.normal(size=(8, 6)))
    settings = validate({**SMALL, "targets": str(tmp_path / "w.npz"), "fidelity": STEPS})
    assert (settings.n_in, settings.n_out) == (8, 6)
    result = search(settings, folder=tmp_path / "run")
    history = History.of(result.folder)
    assert "nothing is held out" in description(history)
    drawn = " ".join(text.get_text() for text in drawn_table(history).texts)
    for told in (report_page(history, {}), drawn):
        assert "4 random starts" in told and "test targets" not in told and "nothing was chosen on" not in told
    assert verify(result.folder).found.mean == result.table.first.error.mean
    assert MatrixReconstruction().evaluate(
        result.champion, settings.fidelity.validation, Split.TEST, 3
    ) != evaluator_of(settings).evaluate(result.champion, settings.fidelity.validation, Split.TEST, 3)


def test_a_single_matrix_is_fitted_from_few_starts_where_a_recipe_does_not_say(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", w=np.random.default_rng(0).normal(size=(8, 6)))
    recipe = {**SMALL, "targets": str(tmp_path / "w.npz")}
    assert max(one.fidelity.targets for one in plan(validate(recipe))) == 8
    asked = validate({**recipe, "fidelity": {"targets": 3}}).fidelity
    assert (asked.targets, asked.race_targets, asked.test_targets) == (3, 3, 8)


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
    assert isinstance(evaluator, TrainedAccuracy) and evaluator.sizes == ((8, 20),)


def test_a_model_of_ones_own_takes_its_sizes_from_the_recipe(tmp_path: Path) -> None:
    model = {"model": f"{two_layers.__module__}:two_layers", "sizes": [[8, 8], [8, 8]], "hidden": None}
    settings = trained(data_file(tmp_path), training=model)
    evaluator = evaluator_of(settings)
    assert isinstance(evaluator, TrainedAccuracy) and evaluator.sizes == ((8, 8), (8, 8))
    alone = trained(data_file(tmp_path), training={**model, "sizes": []}, budget=24, n_in=8, n_out=8)
    assert alone.places is None and alone.sizes == ((8, 8),)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "another size": (
        {"n_in": 9},
        r"n_in = 9, but the .*mine\.npz and hidden widths make layers of 8 x 8: leave it out",
    ),
    "too small for all places": (
        {"budget": 15},
        "between the greater of n_in and n_out = 16 and n_in \\* n_out = 128 for the 2 places",
    ),
    "places that do not follow": (
        {"places": {"sizes": [[8, 9], [9, 8]]}},
        "places follow from the .*mine.npz and hidden widths: leave them out",
    ),
    "free widths of a model of one's own": (
        {"training": {"hidden": None, "model": "mine:model", "sizes": [[8, 8]], "free_widths": True}},
        "training: free_widths goes with hidden",
    ),
    "no model": ({"training": {"hidden": None}}, r"training: either hidden = \[256, 256\]"),
    "two models": ({"training": {"model": "mine:model"}}, "training: either hidden"),
    "sizes twice": ({"training": {"sizes": [[8, 8]]}}, "training: sizes are for a model of your own"),
    "no sizes": ({"training": {"hidden": None, "model": "mine:model"}}, "sizes are wanted beside"),
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


def test_the_recipe_for_digits_is_whole_and_its_cost_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HOME)
    settings = load(Path("runs/digits.toml"))
    assert (settings.n_in, settings.n_out) == (64, 64)
    console = Console(width=120, file=io.StringIO(), record=True)
    show_plan(settings, console)
    text = console.export_text()
    assert "minutes on" in text and "64 inputs, 10 classes; 864 examples to train on" in text


@pytest.mark.end_to_end
def test_finalists_are_trained_afresh_and_the_gap_is_told(result: Result) -> None:
    history = History.of(result.folder)
    assert len(history.retrained) == 1
    before, after = history.retrained[0]
    assert before.digest == after.digest and after.split is Split.VALIDATION
    assert after.score is not None and len(after.score.errors) == 3 and after.fidelity.steps == before.fidelity.steps
    settings = trained(str(result.folder.parent / "mine.npz"))
    again = evaluator_of(settings).evaluate(after.topology, after.fidelity, Split.VALIDATION, settings.seed)
    assert again == after.score
    gap = difference(interval(np.array([after.error - before.error])))
    assert f"a gap of {gap}." in description(history) and gap.endswith("± unknown")
    assert finalists_csv(history).splitlines()[1].startswith(f"{before.number},{before.digest},{before.error}")


def test_folds_are_one_test_training_each(tmp_path: Path) -> None:
    fidelity = {key: value for key, value in EPOCHS.items() if key != "test_targets"}
    settings = trained(data_file(tmp_path), training={"folds": 4}, fidelity=fidelity)
    assert settings.fidelity.test_targets == 4 and settings.is_cross_validated
    assert validate(settings.model_dump(mode="json")) == settings
    evaluator = evaluator_of(settings)
    assert isinstance(evaluator, TrainedAccuracy) and evaluator.folds == 4
    assert settings.found is not None
    assert "64 for validation; 4 folds test those to train on and 80 more, each once" in settings.found.about
    with pytest.raises(ValueError, match=r"training\.folds = 4 makes one test training a fold: leave fidelity\.test"):
        trained(data_file(tmp_path), training={"folds": 4})


def test_a_recipe_takes_as_many_examples_as_it_says(tmp_path: Path) -> None:
    settings = trained(data_file(tmp_path), training={"examples": 200})
    assert settings.found is not None and "96 examples to train on" in settings.found.about
    evaluator = evaluator_of(settings)
    assert isinstance(evaluator, TrainedAccuracy) and len(evaluator.data.train) == 96
