"""What surrounds a search: terminals, temporary folders, trackers and evaluators that are not as we would have them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import ray_session
from evaluators.task import Fidelity, Score, Split
from evo.experiment.search import search
from evo.recipe import validate
from evo.tracking.client import tracking_uri
from evo.tracking.store import Store
from tests.fakes import recipe
from topologies.topology import Topology

HOME = Path(__file__).parents[2]


def test_a_terminal_that_cannot_show_a_sign_still_shows_the_result(tmp_path: Path) -> None:
    loop = ("loop.generations=1", "fidelity.steps=20", "fidelity.validation_steps=20", "fidelity.test_targets=4")
    changes = (*loop, "n_in=8", "n_out=8", "budget=40", "tuning.trials=2", "fidelity.finalists=2", f"runs={tmp_path}")
    options = [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "-m", "evofabric", "search", "runs/quick.toml", "--pool", "in-process", *options]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "COLUMNS": "100"}
    told = subprocess.run(command, capture_output=True, cwd=HOME, env=environment, timeout=300)
    said = told.stdout.decode("ascii")
    assert told.returncode == 0, told.stderr
    assert "evolved champion" in said and "Result digest" in said


def test_a_temporary_folder_with_a_long_path_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    for folder, chosen in (("/tmp", {}), ("/tmp/" + 90 * "x", {"_temp_dir": ray_session.SHORT_FOLDER})):
        monkeypatch.setattr("tempfile.gettempdir", lambda folder=folder: folder)
        monkeypatch.setattr(sys, "platform", "linux")
        assert ray_session._short_temporary_folder() == chosen
    monkeypatch.setenv("RAY_TMPDIR", "/scratch/" + 90 * "y")
    assert ray_session._short_temporary_folder() == {"_temp_dir": ray_session.SHORT_FOLDER}


def test_the_environments_store_is_used_where_the_recipe_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert tracking_uri(None) == "http://tracker:5000"
    assert tracking_uri("sqlite:///mine.db") == "sqlite:///mine.db"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert tracking_uri(None) is None


def test_a_deleted_experiment_is_named_with_what_brings_it_back(tmp_path: Path) -> None:
    store = Store(None, "gone", tmp_path)
    store._client.delete_experiment(store._experiment)
    with pytest.raises(ValueError, match=r"'gone' was deleted; bring it back with `mlflow experiments restore") as told:
        Store(None, "gone", tmp_path)
    assert f"--experiment-id {store._experiment}`" in str(told.value)


@pytest.mark.parametrize("size", [{"n_out": 1}, {"n_in": 1}], ids=["one output", "one input"])
def test_a_search_with_one_end_says_that_there_is_nothing_to_search(size: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="nothing to search: every connected topology with one input or output"):
        validate({"n_in": 32, "n_out": 32, "budget": 32, **size})


def test_a_function_is_an_evaluator(tmp_path: Path) -> None:
    def by_depth(topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        return Score((float(topology.depth),) * fidelity.targets)

    result = search(recipe(runs=str(tmp_path)), by_depth)
    assert result.table.first.error.mean == result.champion.depth
    with pytest.raises(ValueError, match="is no evaluator: it has no method `evaluate"):
        search(recipe(runs=str(tmp_path)), "mine:Mine")  # type: ignore[arg-type]


@pytest.mark.parametrize("leaves", [SystemExit(3), SystemExit("no licence"), KeyError("topology")], ids=repr)
def test_an_evaluator_that_ends_the_program_fails_and_says_where(tmp_path: Path, leaves: BaseException) -> None:
    def exits(topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        raise leaves

    with pytest.raises(ValueError, match="the evaluator fails on every topology") as told:
        search(recipe(runs=str(tmp_path)), exits)
    assert type(leaves).__name__ in str(told.value) and "(test_surroundings.py, line " in str(told.value)


def test_a_number_of_errors_that_depends_on_the_topology_is_a_failure_of_that_topology(tmp_path: Path) -> None:
    def uneven(topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        wrong = split is Split.SEARCH and int(topology.digest, 16) % 3 == 0
        return Score((float(int(topology.digest[:4], 16)),) * (fidelity.targets + wrong))

    result = search(recipe(runs=str(tmp_path)), uneven)
    assert len(result.table.first.errors) == 4
