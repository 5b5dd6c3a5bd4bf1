"""Checkpoints: what a loop knew comes back equal, and one that does not fit is not used."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evaluators.task import Race, Score
from evo.algorithm.individual import Candidate, Individual, InitialMember
from evo.algorithm.nsga2 import Policy, Rules, ask, promotion_threshold
from evo.algorithm.progress import Pending, Progress, process
from evo.storage import checkpoint
from evo.storage.checkpoint import Checkpoints, cut
from evo.storage.header import JOURNAL
from evo.storage.journal import Journal
from evo.variation.bounds import Bounds
from tests.evo.storage.any_records import a_generation, a_header
from topologies import Topology, butterfly, clos, random_regular

BOUNDS = Bounds(budget=48, max_depth=6, max_width=16, max_edges=110)
RULES = Rules(
    policy=Policy.EVOLUTION,
    n_in=8,
    n_out=8,
    bounds=BOUNDS,
    offspring=5,
    population=6,
    elite=2,
    limits=(100, 6),
    initial_population=tuple(
        InitialMember("own", one.canonical)
        for one in (butterfly(8, 3), clos(8, 2, 3, 2), random_regular(8, 8, 6, 3, 3, 0))
    ),
    seed=1,
)
LAST = 6
"""Generations of the loop, generation 0 included."""
MAX_PENDING = 3


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are kept as often as they are offered."""
    monkeypatch.setattr(checkpoint, "PERIOD", -1.0)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / JOURNAL, a_header(time=1.5)) as journal:
        yield journal


def individual(chosen: Candidate) -> Individual:
    """Some fail, some have a measure that is infinite, and scores have many digits."""
    kind = int(chosen.topology.digest, 16)
    measures = (float("inf") if kind % 3 == 0 else 1 / 3, float("-inf") if kind % 5 == 0 else -0.0)
    score = None if kind % 4 < 2 else Score((1 / (2 + kind % 97), 5e-324), None if kind % 2 else 0.1)
    return Individual(chosen, score, measures)


def driven(generations: int, rules: Rules = RULES) -> Progress:
    """The progress of a loop that has processed so many generations."""
    progress = Progress()
    while progress.generations < generations:
        while progress.bred < min(progress.generations + MAX_PENDING, LAST):
            state, candidates = ask(progress.state, rules, progress.bred)
            pending = Pending(candidates, Race(promotion_threshold(state, rules, 2), 16))
            progress = replace(progress, state=state, pending=(*progress.pending, pending))
        progress = process(progress, rules, [individual(one) for one in progress.pending[0].candidates])
    return progress


def file_of(folder: Path, policy: Policy = Policy.EVOLUTION) -> Path:
    """Where the checkpoint of a loop is."""
    return folder / f"checkpoint-{policy.value.replace(' ', '-')}.json.z"


@pytest.mark.parametrize("generations", range(LAST + 1))
def test_a_progress_comes_back_equal(tmp_path: Path, journal: Journal, generations: int) -> None:
    progress = driven(generations)
    if generations == 3:
        known = (*progress.state.population, *progress.state.front, *progress.state.elite)
        assert any(one.score is None for one in known) and progress.state.elite
        assert {measure for one in known for measure in one.measures} >= {float("inf"), float("-inf"), 1 / 3}
        assert len(progress.pending) == MAX_PENDING - 1
        assert {pending.race.threshold is None for pending in progress.pending} == {True, False}
    Checkpoints(tmp_path, RULES, journal).keep(progress)
    found = Checkpoints(tmp_path, RULES, journal).last(LAST, MAX_PENDING)
    if generations == 0:
        assert found is None, "a loop that has processed nothing has bred nothing"
        return
    assert found == progress
    assert found is not None and repr(found.state.population) == repr(progress.state.population)
    assert ask(found.state, RULES, LAST) == ask(progress.state, RULES, LAST), "it breeds the same"


def test_there_is_none_before_one_was_kept(tmp_path: Path, journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    assert Checkpoints(tmp_path, RULES, journal).last(LAST, MAX_PENDING) is None
    assert not caplog.records


def test_only_the_last_is_kept_and_each_loop_has_its_own(tmp_path: Path, journal: Journal) -> None:
    control = replace(RULES, policy=Policy.RANDOM)
    kept = Checkpoints(tmp_path, RULES, journal)
    for generations in (2, 3):
        kept.keep(driven(generations))
    Checkpoints(tmp_path, control, journal).keep(driven(1, control))
    assert Checkpoints(tmp_path, RULES, journal).last(LAST, MAX_PENDING) == driven(3)
    assert Checkpoints(tmp_path, control, journal).last(LAST, MAX_PENDING) == driven(1, control)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-evolution.json.z",
        "checkpoint-random-search.json.z",
        JOURNAL,
    ]


def test_a_recent_checkpoint_is_enough(tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "PERIOD", 60.0)
    clock = [1000.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    kept = Checkpoints(tmp_path, RULES, journal)
    for passed, there in ((59.0, False), (2.0, True)):
        clock[0] += passed
        kept.keep(driven(1))
        assert file_of(tmp_path).exists() == there
    clock[0] += 30.0
    kept.keep(driven(2))
    assert Checkpoints(tmp_path, RULES, journal).last(LAST, MAX_PENDING) == driven(1)


@pytest.mark.parametrize(
    "other",
    [
        replace(RULES, seed=2),
        replace(RULES, elite=3),
        replace(RULES, bounds=replace(BOUNDS, max_depth=5)),
        replace(RULES, initial_population=RULES.initial_population[:2]),
    ],
    ids=["seed", "elite", "bounds", "initial population"],
)
def test_one_of_other_rules_is_not_used(tmp_path: Path, journal: Journal, other: Rules) -> None:
    Checkpoints(tmp_path, RULES, journal).keep(driven(2))
    assert Checkpoints(tmp_path, other, journal).last(LAST, MAX_PENDING) is None


def test_one_of_a_shorter_loop_or_with_other_generations_pending_is_not_used(tmp_path: Path, journal: Journal) -> None:
    Checkpoints(tmp_path, RULES, journal).keep(driven(LAST - 1))
    kept = Checkpoints(tmp_path, RULES, journal)
    assert kept.last(LAST, MAX_PENDING) == driven(LAST - 1)
    assert kept.last(LAST + 1, MAX_PENDING) is None
    Checkpoints(tmp_path, RULES, journal).keep(driven(2))
    assert kept.last(LAST, MAX_PENDING - 1) is None
    assert kept.last(LAST + 1, MAX_PENDING) == driven(2), "early on, a longer loop has bred no more"


def test_one_that_knows_more_than_the_journal_is_not_used(tmp_path: Path) -> None:
    with Journal(tmp_path / JOURNAL, a_header(time=1.5)) as journal:
        journal.append([a_generation(0), a_generation(1)])
        Checkpoints(tmp_path, RULES, journal).keep(driven(2))
        assert Checkpoints(tmp_path, RULES, journal).last(LAST, MAX_PENDING) == driven(2)
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(b"".join(lines[:-1]))
    with Journal(tmp_path / JOURNAL) as journal:
        assert Checkpoints(tmp_path, RULES, journal).last(LAST, MAX_PENDING) is None


def test_one_of_another_run_is_not_used(tmp_path: Path, journal: Journal) -> None:
    Checkpoints(tmp_path, RULES, journal).keep(driven(2))
    (tmp_path / "other").mkdir()
    with Journal(tmp_path / "other" / JOURNAL, a_header(time=2.5)) as other:
        other.append([a_generation(0)] * 9)
        file_of(tmp_path / "other").write_bytes(file_of(tmp_path).read_bytes())
        assert Checkpoints(tmp_path / "other", RULES, other).last(LAST, MAX_PENDING) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 40, zlib.compress(b"{"), zlib.compress(json.dumps({"belongs_to": 1}).encode())],
    ids=["empty", "zeros", "half", "another"],
)
def test_one_that_cannot_be_read_is_not_used_and_one_line_says_so(
    tmp_path: Path, journal: Journal, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file_of(tmp_path).write_bytes(data)
    assert Checkpoints(tmp_path, RULES, journal).last(LAST, MAX_PENDING) is None
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith(f"{file_of(tmp_path)} is not used: ") and "\n" not in said


def test_that_one_cannot_be_written_is_no_matter(
    tmp_path: Path, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    file_of(tmp_path).mkdir()
    with caplog.at_level(logging.WARNING):
        Checkpoints(tmp_path, RULES, journal).keep(driven(1))
    assert "no checkpoint: " in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-evolution.json.z", JOURNAL]


def test_a_journal_that_is_cut_has_no_checkpoints(tmp_path: Path) -> None:
    with Journal(tmp_path / JOURNAL, a_header()) as journal:
        journal.append([a_generation(0), a_generation(1)])
        for policy in Policy:
            Checkpoints(tmp_path, replace(RULES, policy=policy), journal).keep(driven(1))
    assert all(file_of(tmp_path, policy).exists() for policy in Policy)
    cut(tmp_path, 2)
    assert not any(file_of(tmp_path, policy).exists() for policy in Policy)
    with pytest.raises(ValueError, match="is not the folder of a run"):
        cut(tmp_path / "nowhere", 2)


def test_a_topology_is_stored_as_text(tmp_path: Path, journal: Journal) -> None:
    Checkpoints(tmp_path, RULES, journal).keep(driven(1))
    plain = json.loads(zlib.decompress(file_of(tmp_path).read_bytes()))
    first = plain["progress"]["state"]["population"][0]["candidate"]
    assert isinstance(first["topology"], str)
    assert isinstance(driven(1).state.population[0].topology, Topology)
