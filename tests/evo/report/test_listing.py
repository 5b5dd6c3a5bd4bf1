"""The list of runs: a state in one word for whatever became of them."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from evaluators.task import Fidelity, Score, Split
from evo.experiment.search import search
from evo.report.listing import RunSummary, runs
from evo.storage.header import JOURNAL
from evo.storage.journal import Journal, read
from evo.storage.records import GenerationRecord, ScoreRecord
from tests.fakes import HashEvaluator, recipe
from topologies import Topology


class StopsAfter(HashEvaluator):
    """Raises something after a number of evaluations."""

    def __init__(self, number: int, error: BaseException) -> None:
        super().__init__()
        self.number, self.error = number, error

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """A score, until it is time."""
        if len(self.calls) == self.number:
            raise self.error
        return super().evaluate(topology, fidelity, split, seed)


def begun(folder: Path, evaluator: HashEvaluator) -> None:
    """A run in a folder, however it ends."""
    folder.mkdir(parents=True)
    search(recipe(), evaluator, folder=folder)


def only(folder: Path) -> RunSummary:
    """The one run that is listed."""
    (summary,) = runs(folder)
    return summary


def test_no_folder_and_an_empty_one_have_no_runs(tmp_path: Path) -> None:
    (tmp_path / "empty" / "something else").mkdir(parents=True)
    assert runs(tmp_path / "empty") == []
    assert runs(tmp_path / "nowhere") == []


def test_a_finished_run_shows_its_test_errors_and_digest(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    result = search(recipe(), HashEvaluator(), folder=tmp_path / "b")
    champion, baseline = result.table.first, result.table.baseline
    records, _ = read(tmp_path / "b" / JOURNAL)
    candidates = sum(isinstance(one, ScoreRecord) and one.phase == "evolution" for one in records)
    assert only(tmp_path) == RunSummary(
        "b", "finished", candidates, champion.error.mean, baseline.error.mean, result.digest
    )


def test_a_run_that_was_stopped_shows_its_best_so_far(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        begun(tmp_path / "a", StopsAfter(110, KeyboardInterrupt()))
    summary = only(tmp_path)
    assert (summary.name, summary.state, summary.digest) == ("a", "stopped", None)
    records, _ = read(tmp_path / "a" / JOURNAL)
    generations = [one for one in records if isinstance(one, GenerationRecord) and one.phase == "evolution"]
    assert 0 < summary.candidates == generations[-1].candidates
    assert (summary.best, summary.baseline) == (generations[-1].best, generations[-1].baseline)


def test_a_run_that_failed_before_its_first_generation(tmp_path: Path) -> None:
    class Broken(HashEvaluator):
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            if seed:
                raise RuntimeError("broken")
            return super().evaluate(topology, fidelity, split, seed)

    with pytest.raises(ValueError, match="fails on every topology"):
        begun(tmp_path / "a", Broken())
    assert only(tmp_path) == RunSummary("a", "failed", 0, None, None, None)


def test_a_run_is_running_while_a_process_holds_its_journal_and_killed_when_none_does(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        begun(tmp_path / "a", StopsAfter(30, KeyboardInterrupt()))
    journal = tmp_path / "a" / JOURNAL
    with Journal(journal):  # it goes on, and has no new record yet
        assert only(tmp_path).state == "running"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))  # as if the process had died without a word
    assert only(tmp_path).state == "stopped"
    with Journal(journal):
        assert only(tmp_path).state == "running"
    assert only(tmp_path).state == "stopped"


def test_a_damaged_journal_is_listed_as_such_beside_the_others(tmp_path: Path) -> None:
    for name in ("c", "a"):
        with pytest.raises(KeyboardInterrupt):
            begun(tmp_path / name, StopsAfter(30, KeyboardInterrupt()))
    journal = tmp_path / "a" / JOURNAL
    journal.write_bytes(b"x" + journal.read_bytes())
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / JOURNAL).write_bytes(b"")
    assert [(one.name, one.state) for one in runs(tmp_path)] == [("a", "damaged"), ("b", "damaged"), ("c", "stopped")]


def test_a_run_of_another_version_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    text = b'{"version":1,"kind":"header"}'
    (tmp_path / "old" / JOURNAL).write_bytes(b"%08x %s\n" % (zlib.crc32(text), text))
    assert [(one.name, one.state) for one in runs(tmp_path)] == [("old", "other version")]
