"""Where a search lives: folders are made when there is something to keep, and none is left behind else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import evo.experiment.baselines
import evo.storage.pools
import evo.storage.run
from cluster.pool import Pool
from evaluators.task import Evaluator, Fidelity, Score, Split
from evo.experiment.search import search
from evo.settings import Settings
from evo.storage.header import records_of
from evo.storage.records import (
    Header,
)
from tests.fakes import HashEvaluator, recipe
from topologies import Topology
from topologies.names import CHAMPION


@pytest.mark.parametrize("folder", ["new", "one/in/another"])
def test_a_folder_that_is_not_there_is_made(tmp_path: Path, folder: str) -> None:
    made = search(recipe(loop={"generations": 0}), HashEvaluator(), folder=tmp_path / folder)
    assert made.folder == tmp_path / folder
    assert isinstance(records_of(tmp_path / folder)[0], Header)
    assert made.champion_file == tmp_path / folder / CHAMPION and made.champion_file.is_file()


@pytest.mark.parametrize("folder", ["new", "one/in/another"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"initial_population": ["clos(16, 4, 4, 4)"]}, "is 16 x 16, the recipe 8 x 8"),
        ({"baseline": "missing.safetensors"}, "there is no such file"),
        ({"reuse_from": ["nowhere"]}, "reuse_from: nowhere is not the folder of a run"),
        ({"evaluator": "nothing:Here"}, "evaluator 'nothing:Here'"),
    ],
    ids=["initial population", "baseline", "reuse_from", "evaluator"],
)
def test_a_recipe_that_is_refused_before_the_journal_leaves_no_folder_behind(
    tmp_path: Path, folder: str, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        search(recipe(**changes), None if "evaluator" in changes else HashEvaluator(), folder=tmp_path / folder)
    assert list(tmp_path.iterdir()) == []


@contextmanager
def no_pool(settings: Settings, evaluator: Evaluator) -> Iterator[tuple[Pool, str]]:
    """Stands for a cluster that cannot be joined."""
    raise ValueError("nothing answers at the Ray address")
    yield


@pytest.mark.parametrize("folder", ["new", "one/in/another"])
def test_a_pool_that_does_not_start_leaves_no_folder_behind(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evo.storage.run, "open_pool", no_pool)
    with pytest.raises(ValueError, match="nothing answers"):
        search(recipe(), HashEvaluator(), folder=tmp_path / folder)
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_a_pool_that_does_not_start_leaves_no_run_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evo.storage.run, "open_pool", no_pool)
    with pytest.raises(ValueError, match="nothing answers"):
        search(recipe(runs=str(tmp_path / "runs")), HashEvaluator())
    assert list(tmp_path.glob("runs/*")) == []


def test_an_evaluator_with_two_scores_for_equal_arguments_leaves_no_folder_behind(tmp_path: Path) -> None:
    class Moody(HashEvaluator):
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            self.calls.append((topology.digest, fidelity, split))
            return Score((float(len(self.calls)),) * fidelity.targets)

    with pytest.raises(ValueError, match="two scores for equal arguments"):
        search(recipe(), Moody(), folder=tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays_when_a_recipe_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match="is 16 x 16"):
        search(recipe(initial_population=["clos(16, 4, 4, 4)"]), HashEvaluator(), folder=tmp_path / "mine")
    assert (tmp_path / "mine").is_dir()
    monkeypatch.setattr(evo.storage.run, "open_pool", no_pool)
    with pytest.raises(ValueError, match="nothing answers"):
        search(recipe(), HashEvaluator(), folder=tmp_path / "mine")
    assert (tmp_path / "mine").is_dir()


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^the folder .*file/run cannot be made: Not a directory$"):
        search(recipe(), HashEvaluator(), folder=tmp_path / "file" / "run")


def test_without_a_folder_a_new_one_is_made_where_the_recipe_says(tmp_path: Path) -> None:
    settings = recipe(name="night", runs=str(tmp_path / "results"), loop={"generations": 0})
    folders = [search(settings, HashEvaluator()).folder for _ in range(2)]
    assert len(set(folders)) == 2
    for folder in folders:
        assert folder.parent == tmp_path / "results"
        assert folder.name.startswith("night-8x8-b40-s3-")
        assert (folder / CHAMPION).is_file()
