"""Searches on data that need no recipe: what the command asks, makes and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from evo.cli import app
from evo.recipe import load, validate
from evo.report.description import description
from evo.report.figures import final_table as drawn_table
from evo.report.html.page import report_page
from evo.report.numbers import significant
from evo.report.use import lines_of_python
from evo.storage.history import History
from tests.evaluators.training.examples import blobs, two_layers
from tests.evo.own_data import SMALL, data_file, trained
from topologies import SparseCascade
from topologies import load as load_topology


def invoked(*arguments: str) -> Any:
    """What the command does, in this process."""
    return CliRunner().invoke(app, ["search", *arguments])


TINY = {
    "tracking.uri": "sqlite:///t.db", "loop.generations": 1, "loop.offspring": 4, "tuning.trials": 1,
    "fidelity.steps": 2, "fidelity.validation_steps": 2, "fidelity.finalists": 2, "fidelity.rates": [0.02],
    "fidelity.validation_rates": [0.02], "fidelity.validation_weight_decays": [0.0],
}  # fmt: skip
QUICKLY = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")] + ["--pool", "in-process"]


@pytest.fixture(scope="module")
def of_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, dict[str, Any]]:
    """A finished search without a recipe, with --json: its folder, what was printed, and that as values."""
    folder = tmp_path_factory.mktemp("search on data")
    name = data_file(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = invoked("--data", name, "--hidden", "8,8", "--density", "0.4", "--minutes", "5", "--json", *QUICKLY)
    assert done.exit_code == 0, done.output
    return folder, done, json.loads(done.stdout)


@pytest.mark.end_to_end
def test_a_search_on_data_needs_no_recipe_and_its_results_are_json(
    of_data: tuple[Path, Any, dict[str, Any]],
) -> None:
    folder, done, found = of_data
    assert done.stdout.count("\n") == 1 and "expected" in done.stderr and "8 x 8 and 8 x 8, 51 trainable" in done.stderr
    assert found["first"] == "evolved champion" and Path(found["champion_file"]).is_file()
    (run,) = (folder / "runs").glob("mine-8-8-8-b51-s1-*")
    table = History.of(run).table
    assert table is not None and table.first.is_cross_validated
    assert {one["name"]: one["error"] for one in found["rows"]} == {row.name: row.error.mean for row in table.rows}
    history = History.of(run)
    drawn = " ".join(text.get_text() for text in drawn_table(history).texts)
    for told in (description(history), report_page(history, {}), drawn):
        assert "5 folds" in told and "test trainings" not in told
    errors = [one["error"] for one in found["rows"]]
    assert errors == sorted(errors) and all(len(one["errors"]) == 5 for one in found["rows"])


@pytest.mark.end_to_end
def test_the_recipe_that_was_made_repeats_the_search(
    of_data: tuple[Path, Any, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, found = of_data
    monkeypatch.chdir(folder)
    recipe = Path(found["folder"]) / "recipe.toml"
    known = f'reuse_from=["{found["folder"]}"]'  # scores: what is bred, chosen and told is found again
    done = invoked(str(recipe), "--pool", "in-process", "--set", "tracking.uri=sqlite:///t.db", "--set", known)
    assert done.exit_code == 0 and found["digest"] in done.stdout
    for one in found["rows"]:  # one line a row, that begins with its name and shows its error as a fraction
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"{one['name']}  "))
        assert significant(one["error"]) in line and len(line) <= 80


@pytest.mark.end_to_end
def test_the_three_lines_at_the_end_put_the_mask_into_a_model(
    of_data: tuple[Path, Any, dict[str, Any]],
) -> None:
    own, _, found = of_data
    values = {
        "data": str(own / "mine.npz"),
        "hidden": None,
        "model": f"{two_layers.__module__}:two_layers",
        "sizes": [[8, 8], [8, 8]],
    }
    recipes = {
        "usual": load(Path(found["folder"]) / "recipe.toml"),
        "a model of one's own": trained(str(own / "mine.npz"), training=values),
        "reconstruction": validate(SMALL | {"n_in": 8, "n_out": 8}),
    }
    whole, file = load_topology(found["champion_file"]), Path(found["champion_file"])
    whole.places[0].save(own / "one.safetensors")
    for name, settings in recipes.items():
        champion = whole.places[0] if name == "reconstruction" else whole
        lines = lines_of_python(champion, own / "one.safetensors" if name == "reconstruction" else file, settings)
        names: dict[str, Any] = {"x": torch.ones(5, 8)}
        exec("\n".join(lines), names)
        assert len(lines) == 3
        model = names["layer" if name == "reconstruction" else "model"]
        assert model(names["x"]).shape == (5, 8 if name == "reconstruction" else 3)
        cascades = [one for one in model.modules() if isinstance(one, SparseCascade)]
        assert [one.topology for one in cascades] == list(champion.places)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say what to search for: a recipe, `evofabric search runs/quick.toml`, or data, `evofabric search --data"),
        (["--hidden", "8"], "say what to search for"),
        (["a.toml", "--data", "digits"], "--data makes a recipe of its own: leave a.toml out, or give it other data"),
        (["a.toml", "--density", "0.1", "--epochs", "3"], "--density, --epochs: only with --data"),
        (["a.toml", "--task", "regression"], "--task: only with --data"),
        (["--data", "digits", "--hidden", "wide"], "--hidden wide: widths are wanted"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_search_for_nothing_or_for_two_things_is_one_line(arguments: list[str], words: str) -> None:
    told = invoked(*arguments).exception
    assert isinstance(told, ValueError) and words in str(told) and "\n" not in str(told)


def test_a_dry_run_on_data_says_one_time(tmp_path: Path) -> None:
    asked = ("--data", data_file(tmp_path), "--hidden", "8", "--density", "0.4", "--minutes", "5", *QUICKLY)
    told = invoked(*asked, "--dry-run").stdout
    assert told.count(" minutes on ") == 1 and "(--minutes changes it)" in told and "What will be evaluated" in told


def test_a_recipe_to_begin_with_says_what_y_is(tmp_path: Path) -> None:
    x, y = blobs()
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y.astype(float))
    of_data = ["init", str(tmp_path / "mine.toml"), "--data", str(tmp_path / "mine.npz"), "--hidden", "8"]
    assert CliRunner().invoke(app, [*of_data, "--density", "0.4", "--task", "regression"]).exit_code == 0
    settings = load(tmp_path / "mine.toml")
    assert settings.found is not None and "a quantity" in settings.found.about
    with pytest.raises(ValueError, match="--task goes with --data"):
        CliRunner().invoke(app, ["init", "--task", "regression"], catch_exceptions=False)
