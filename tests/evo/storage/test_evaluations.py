"""Scores by request: each evaluated once, whoever asks, in whatever order answers come, before and after a crash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.in_process import InProcessPool
from evaluators.task import Answer, Evaluator, Fidelity, Race, Score, Split, Task
from evo.storage.evaluations import Request, key_of
from evo.storage.journal import read
from evo.storage.records import Origin, Record, ScoreRecord
from tests.fakes import SEED, HashEvaluator, ShufflingPool, SometimesNotANumber, SometimesRaises, doomed, evaluations
from topologies import Topology, butterfly, clos, hypercube, random_regular

LOW, HIGH = Fidelity(2, 5, (0.1, 0.3)), Fidelity(4, 9, (0.3,))
SOME = [random_regular(6, 6, 6, 3, 3, seed) for seed in range(9)]


def request(number: int, topology: Topology, phase: str = "phase", fidelity: Fidelity = LOW, **more: Any) -> Request:
    """A request on the search split; ``more`` is of the task."""
    task = Task(**{"topology": topology, "fidelity": fidelity, "split": Split.SEARCH, "seed": SEED, **more})
    return Request(phase=phase, number=number, task=task)


def requests(phase: str = "phase") -> list[Request]:
    """One request for every topology in SOME."""
    return [request(number, topology, phase) for number, topology in enumerate(SOME)]


def racing(one: Request, race: Race) -> Request:
    """The request with a race to run."""
    return replace(one, task=replace(one.task, race=race))


def expected(one: Request) -> Score:
    """What the evaluator says when asked directly."""
    return HashEvaluator().evaluate(one.task.topology, one.task.fidelity, one.task.split, one.task.seed)


def scores_in(folder: Path) -> list[ScoreRecord]:
    """The score records of a journal, as they were written."""
    return [record for record in read(folder / "journal.jsonl")[0] if isinstance(record, ScoreRecord)]


@pytest.mark.parametrize("pool", [InProcessPool, ShufflingPool, lambda one: ShufflingPool(one, 1)])
def test_scores_come_in_the_order_of_the_requests(tmp_path: Path, pool: type[ShufflingPool]) -> None:
    with evaluations(tmp_path, HashEvaluator(), pool) as asked:
        assert asked.evaluate(requests()) == [expected(one) for one in requests()]
    assert sorted(record.number for record in scores_in(tmp_path)) == list(range(len(SOME)))


def test_the_journal_is_written_in_the_order_of_arrival(tmp_path: Path) -> None:
    with evaluations(tmp_path, HashEvaluator(), ShufflingPool) as asked:
        asked.evaluate(requests())
    arrived = [record.number for record in scores_in(tmp_path)]
    assert sorted(arrived) == list(range(len(SOME)))
    assert arrived != sorted(arrived)


def test_groups_of_requests_may_overlap(tmp_path: Path) -> None:
    evaluator = HashEvaluator()
    with evaluations(tmp_path, evaluator, ShufflingPool) as asked:
        first, second = requests("first")[:6], [request(n, one, "second", HIGH) for n, one in enumerate(SOME[:4])]
        asked.send(first)
        asked.send(second)
        assert asked.answers(second) == [Answer(score=expected(one)) for one in second]
        assert asked.answers(first) == [Answer(score=expected(one)) for one in first]
        assert asked.answers([]) == []
    assert len(evaluator.calls) == 10


def test_one_topology_in_flight_twice_is_evaluated_once(tmp_path: Path) -> None:
    evaluator = HashEvaluator()
    twice = [request(0, SOME[0]), request(1, SOME[1]), request(2, SOME[0]), request(0, SOME[0], "another phase")]
    with evaluations(tmp_path, evaluator, ShufflingPool) as asked:
        assert asked.evaluate(twice) == [expected(one) for one in twice]
    assert len(evaluator.calls) == 2
    devices = {(record.phase, record.number): record.device for record in scores_in(tmp_path)}
    assert sorted(devices.values()) == ["cache", "cache", "shuffled", "shuffled"]
    assert devices["phase", 0] == "shuffled"


def test_a_score_that_is_known_is_not_computed_again_but_is_recorded_for_whom_it_was_asked(tmp_path: Path) -> None:
    evaluator = HashEvaluator()
    with evaluations(tmp_path, evaluator) as asked:
        asked.evaluate(requests())
        assert asked.evaluate(requests("again")) == [expected(one) for one in requests()]
    assert len(evaluator.calls) == len(SOME)
    again = [record for record in scores_in(tmp_path) if record.phase == "again"]
    assert {(record.device, record.seconds) for record in again} == {("cache", 0.0)}
    assert [record.digest for record in again] == [topology.digest for topology in SOME]


def test_another_fidelity_or_split_is_another_score(tmp_path: Path) -> None:
    evaluator = HashEvaluator()
    with evaluations(tmp_path, evaluator) as asked:
        several = [
            request(number, SOME[0], fidelity=fidelity, split=split)
            for number, (fidelity, split) in enumerate((f, s) for f in (LOW, HIGH) for s in Split)
        ]
        assert asked.evaluate(several) == [expected(one) for one in several]
    assert len(evaluator.calls) == len(several)


def test_what_decides_an_answer_is_its_key() -> None:
    plain = request(0, SOME[0]).task
    others = [
        replace(plain, topology=SOME[1]),
        replace(plain, fidelity=HIGH),
        replace(plain, fidelity=Fidelity(2, 5, (0.1,))),
        replace(plain, split=Split.TEST),
        replace(plain, measures=("depth",)),
    ]
    assert len({key_of(task) for task in (plain, *others)}) == 1 + len(others)
    assert key_of(replace(plain, seed=9, race=Race(0.5, 9), number=7)) == key_of(plain)


def test_a_race_travels_with_the_task_and_who_is_below_its_threshold_is_promoted(tmp_path: Path) -> None:
    evaluator = HashEvaluator()
    threshold = expected(request(0, SOME[0])).error
    entered = [racing(one, Race(threshold, 16)) for one in requests()]
    with evaluations(tmp_path, evaluator, ShufflingPool) as asked:
        scores = asked.evaluate(entered)
    promoted = [one for one in requests() if expected(one).error < threshold]
    assert 0 < len(promoted) < len(SOME)
    more = Fidelity(16, LOW.steps, (0.1,))  # at the learning rate that was chosen
    again = {one.number: request(one.number, one.task.topology, fidelity=more) for one in promoted}
    assert scores == [expected(again.get(one.number, one)) for one in requests()]
    assert len(evaluator.calls) == len(SOME) + len(promoted)
    for record in scores_in(tmp_path):
        assert record.race == Race(threshold, 16)
        assert record.entry == (expected(requests()[record.number]) if record.number in again else None)
    judge = HashEvaluator()
    with evaluations(tmp_path, judge) as asked:
        assert asked.evaluate(entered) == scores
    assert judge.calls == []


def test_a_race_without_a_threshold_promotes_everyone(tmp_path: Path) -> None:
    evaluator = HashEvaluator()
    entered = [racing(one, Race(None, 16)) for one in requests()]
    with evaluations(tmp_path, evaluator) as asked:
        scores = asked.evaluate(entered)
    more = Fidelity(16, LOW.steps, (0.1,))
    assert scores == [expected(request(n, one, fidelity=more)) for n, one in enumerate(SOME)]
    assert [record.entry for record in scores_in(tmp_path)] == [expected(one) for one in requests()]
    judge = HashEvaluator()
    with evaluations(tmp_path, judge) as asked:
        assert asked.evaluate(entered) == scores
    assert judge.calls == []


def test_a_record_says_what_was_asked_and_answered(tmp_path: Path) -> None:
    topology = clos(8, 2, 3, 2)
    seen: list[Record] = []
    origin = Origin("a label", "clos", 3, (4, 5), "rewire")
    asking = replace(request(7, topology, "evolution", split=Split.VALIDATION), origin=origin)
    with evaluations(tmp_path, HashEvaluator(), arrived=seen.append) as asked:
        score = asked.evaluate([asking])[0]
    (record,) = scores_in(tmp_path)
    assert score is not None and record.score == score and record.score.learning_rate == 0.1
    assert (record.phase, record.number, record.digest) == ("evolution", 7, topology.digest)
    assert (record.origin, record.split, record.fidelity) == (origin, Split.VALIDATION, LOW)
    assert (record.n_trainable, record.n_edges, record.depth) == (topology.n_trainable, topology.n_edges, 3)
    assert (record.failure, record.race, record.entry) == (None, None, None)
    assert record.error == score.error
    assert record.topology == topology
    assert seen == [record]


def test_the_measures_that_are_wanted_are_recorded_beside_the_score(tmp_path: Path) -> None:
    asking = request(0, butterfly(8, 3))
    wanting = replace(asking, task=replace(asking.task, measures=("depth",)))
    with evaluations(tmp_path, HashEvaluator()) as asked:
        assert asked.evaluate([wanting]) == [expected(asking)]
    (record,) = scores_in(tmp_path)
    assert (record.measures, record.wanted) == ({"depth": 3.0}, ("depth",))


@pytest.mark.parametrize("kept", range(len(SOME) + 1))
def test_what_is_in_the_journal_is_not_evaluated_again(tmp_path: Path, kept: int) -> None:
    with evaluations(tmp_path, HashEvaluator(), ShufflingPool) as asked:
        before = asked.evaluate(requests())
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[: 1 + kept]))
    known = {record.digest for record in scores_in(tmp_path)}
    evaluator, seen = HashEvaluator(), list[Record]()
    with evaluations(tmp_path, evaluator, arrived=seen.append) as asked:
        assert asked.evaluate(requests()) == before
    assert {digest for digest, _, _ in evaluator.calls} == {topology.digest for topology in SOME} - known
    assert len(evaluator.calls) == len(SOME) - kept
    assert seen == scores_in(tmp_path)[kept:]
    assert len(scores_in(tmp_path)) == len(SOME)


def test_a_journal_that_tells_of_another_topology_is_refused(tmp_path: Path) -> None:
    with evaluations(tmp_path, HashEvaluator()) as asked:
        asked.evaluate([request(0, SOME[0])])
    with (
        evaluations(tmp_path, HashEvaluator()) as asked,
        pytest.raises(ValueError, match="the journal's phase 0 is another topology than this program bred"),
    ):
        asked.evaluate([request(0, SOME[1])])


@pytest.mark.parametrize("evaluator", [SometimesRaises, SometimesNotANumber])
def test_a_failure_is_recorded_in_words_and_remembered(tmp_path: Path, evaluator: type[HashEvaluator]) -> None:
    wanted = [None if doomed(one.task.topology) else expected(one) for one in requests()]
    assert None in wanted and any(wanted)
    for times_asked in (1, 2):
        judge = evaluator()
        with evaluations(tmp_path, judge, ShufflingPool) as asked:
            assert asked.evaluate(requests()) == wanted
            assert asked.evaluate(requests("again")) == wanted
        assert len(judge.calls) == (len(SOME) if times_asked == 1 else 0)
    for record in scores_in(tmp_path):
        if wanted[record.number] is None:
            words = str(record.failure).partition(" (fakes.py, line ")[0]
            assert words in ("ArithmeticError: too sparse for me", "not every error is a finite number")
            assert record.score is None and record.error == float("inf")
        else:
            assert record.failure is None and record.score == wanted[record.number]


@pytest.mark.parametrize("errors", [(float("inf"), 0.1), (0.1, float("-inf"))])
def test_an_infinite_error_is_a_failure(tmp_path: Path, errors: tuple[float, float]) -> None:
    class Infinite:
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            return Score(errors)

    with evaluations(tmp_path, Infinite()) as asked:
        assert asked.evaluate([request(0, butterfly(4, 2))]) == [None]
    assert [record.failure for record in scores_in(tmp_path)] == ["not every error is a finite number"]


def test_errors_may_be_numpy_numbers_of_any_precision(tmp_path: Path) -> None:
    class Single:
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            return Score(tuple(np.full(2, 0.1, dtype=np.float32)))

    judges: list[Evaluator] = [Single(), HashEvaluator()]
    for judge in judges:  # the second only reads the journal
        with evaluations(tmp_path, judge) as asked:
            assert asked.evaluate([request(0, hypercube(4, 2))]) == [Score((float(np.float32(0.1)),) * 2)]
