"""The evaluation that every worker makes: what of a failure is the task's, and what is not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluators import run as running
from evaluators.task import BrokenDeviceError, Fidelity, Race, Score, Split, Task
from topologies import butterfly, hypercube
from topologies.topology import Topology

TASKS = [
    Task(
        number=number,
        topology=topology,
        fidelity=Fidelity(1, 1, (1.0,)),
        split=Split.SEARCH,
        seed=0,
        measures=("edges",),
    )
    for number, topology in enumerate((butterfly(4, 2), hypercube(4, 2), butterfly(4, 3)))
]


class Batches:
    """Scores a topology by its edges; many at a time it answers what ``together`` makes of the scores."""

    def __init__(self, together: Any) -> None:
        self._together = together

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """The number of edges."""
        return Score((float(topology.n_edges),))

    def evaluate_many(self, tasks: Sequence[Task]) -> list[Score]:
        """What was asked for in the constructor."""
        scores = [self.evaluate(task.topology, task.fidelity, task.split, task.seed) for task in tasks]
        answer: list[Score] = self._together(scores)
        return answer


def fails(scores: list[Score]) -> list[Score]:
    raise ArithmeticError("one of them is too sparse")


@pytest.mark.parametrize(
    "together",
    [
        fails,
        sys.exit,
        lambda scores: scores[:-1],
        lambda scores: [*scores, scores[0]],
        lambda scores: [0.5, *scores[1:]],
        len,
    ],
    ids=["raises", "exits", "one too few", "one too many", "not all scores", "no list"],
)
def test_a_batch_that_is_not_answered_as_it_should_be_goes_one_by_one(
    together: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "measure", lambda name, topology: 0.0)
    outcomes = running.run(Batches(together), TASKS, "")
    assert [one.answer.score for one in outcomes] == [Score((float(task.topology.n_edges),)) for task in TASKS]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("together", [fails, list], ids=["alone", "together"])
def test_a_wrong_number_of_errors_is_a_failure_that_says_so(
    count: int, together: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Batches, "evaluate", lambda *asked: Score((0.5,) * count))
    tasks = [replace(task, fidelity=Fidelity(2, 1, (1.0,)), measures=()) for task in TASKS]
    outcomes = running.run(Batches(together), tasks, "")
    assert [one.answer.score for one in outcomes] == [None] * len(TASKS)
    assert {one.answer.failure for one in outcomes} == {
        f"ValueError: the evaluator returned a Score with {count} errors for 2 targets: one error a target is wanted, "
        "so len(errors) == fidelity.targets"
    }


def test_a_promoted_candidate_has_an_error_for_every_target_of_its_race(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Batches, "evaluate", lambda *asked: Score((0.5,)))
    tasks = [replace(task, race=Race(None, 4), measures=()) for task in TASKS]
    for outcome in running.run(Batches(fails), tasks, ""):
        answer = outcome.answer
        assert answer.score is None and answer.entry == Score((0.5,))
        assert "1 errors for 4 targets" in str(answer.failure)


def test_a_score_without_errors_is_a_failure_and_says_where_it_was_made() -> None:
    class Empty:
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            return Score(())

    (outcome,) = running.run(Empty(), [replace(TASKS[0], measures=())], "")
    words = "ValueError: errors is empty: a sequence of numbers is wanted, one a target"
    line = Empty.evaluate.__code__.co_firstlineno + 1
    assert f"{outcome.answer.failure}".startswith(words)
    assert f"{outcome.answer.failure}".endswith(f" ({Path(__file__).name}, line {line})")


def raises() -> None:
    raise ArithmeticError("too\nsparse")


def test_what_the_evaluator_raises_is_told_with_the_line_that_raised_it() -> None:
    class Raises:
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            raises()
            raise AssertionError

    (outcome,) = running.run(Raises(), [replace(TASKS[0], measures=())], "")
    line = raises.__code__.co_firstlineno + 1
    assert outcome.answer.failure == f"ArithmeticError: too sparse ({Path(__file__).name}, line {line})"


def test_an_evaluator_that_would_end_the_process_fails_its_task_only() -> None:
    class Exits:
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            sys.exit("no licence")

    (outcome,) = running.run(Exits(), [replace(TASKS[0], measures=())], "")
    assert f"{outcome.answer.failure}".startswith(f"SystemExit: no licence ({Path(__file__).name}, line ")


def test_the_proof_of_a_worker_is_a_failure_by_its_kind_only() -> None:
    class Fails:
        def __init__(self, words: str) -> None:
            self.words = words

        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            raise ArithmeticError(self.words)

    task = running.proof(6, 4)
    assert (task.topology.n_in, task.topology.n_out, task.fidelity.targets, task.seed) == (6, 4, 1, 0)
    assert running.canary(Fails("at 0x7f1"), task) == running.canary(Fails("at 0x9e2"), task) == "ArithmeticError"
    edges = float(task.topology.n_edges)
    assert running.canary(Batches(list), task) == f"Score(errors=({edges!r},), learning_rate=None, weight_decay=None)"


@pytest.mark.parametrize("error", [MemoryError(), BrokenDeviceError("the GPU is gone")], ids=["memory", "device"])
def test_what_says_nothing_of_a_task_is_passed_on_from_its_measures_too(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str, topology: Topology) -> float:
        raise error

    monkeypatch.setattr(running, "measure", broken)
    with pytest.raises(type(error)):
        running.run(Batches(list), TASKS, "")


def test_a_measure_that_fails_is_its_tasks_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(name: str, topology: Topology) -> float:
        if topology.digest == TASKS[1].topology.digest:
            raise ArithmeticError("no\nmeasure")
        return 1.0

    monkeypatch.setattr(running, "measure", measure)
    outcomes = running.run(Batches(list), TASKS, "")
    assert [one.answer.failure for one in outcomes] == [None, "ArithmeticError: no measure", None]
