"""Where a run's folder comes from, and what stops it from being a run's."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evo.report.description import description
from evo.storage.folders import new_folder
from evo.storage.header import JOURNAL
from evo.storage.history import History
from evo.storage.records import EndRecord, PhaseStarted, RunEvent
from evo.storage.run import create, open_run
from tests.fakes import HashEvaluator, recipe


def test_searches_that_begin_in_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    settings = recipe(runs=str(tmp_path))
    with ThreadPoolExecutor(16) as starts:
        folders = list(starts.map(lambda _: new_folder(settings), range(60)))
    assert len(set(folders)) == 60
    assert all(folder.is_dir() for folder in folders)


def test_a_run_that_another_process_began_at_the_same_time_is_not_taken_over(tmp_path: Path) -> None:
    with create(recipe(budget=40), HashEvaluator(), tmp_path, lambda event: None):
        pass
    before = (tmp_path / JOURNAL).read_bytes()
    with (  # as when the journal was not there yet as it was looked for
        pytest.raises(ValueError, match="another process began a run here meanwhile: choose another folder"),
        create(recipe(budget=41), HashEvaluator(), tmp_path, lambda event: None),
    ):
        pass
    assert (tmp_path / JOURNAL).read_bytes() == before


def test_a_search_whose_output_nobody_reads_any_more_is_stopped_and_says_how_to_go_on(tmp_path: Path) -> None:
    settings = ("n_in=8", "n_out=8", "budget=40", 'cluster.pool="in-process"', "loop.generations=100000")
    (tmp_path / "recipe.toml").write_text("")
    command = [sys.executable, "-m", "evofabric", "search", "recipe.toml", *(f"--set={one}" for one in settings)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert "workers ready" in process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    (folder,) = (tmp_path / "runs").glob("search-*")
    history = History.of(folder)
    assert process.returncode == 1 and history.status == "KILLED"
    assert f'continue with: evofabric resume "{folder}"\n' in said
    assert "**This search was stopped.**" in description(history)


def test_a_watcher_whose_reader_has_gone_stops_a_run_as_ctrl_c_does(tmp_path: Path) -> None:
    def watch(event: RunEvent) -> None:
        if isinstance(event, PhaseStarted | EndRecord):
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError), open_run(recipe(), HashEvaluator(), tmp_path, watch) as run:
        run.show(PhaseStarted("evolution"))
    assert History.of(tmp_path).status == "KILLED"
