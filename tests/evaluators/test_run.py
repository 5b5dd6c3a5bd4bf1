"""The evaluation that every worker makes: what of a failure is the task's, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from evaluators import run as running
from evaluators.task import BrokenDeviceError, Fidelity, Score, Split, Task
from topologies import butterfly, hypercube
from topologies.topology import Topology

TASKS = [
    Task(number, topology, Fidelity(1, 1, (1.0,)), Split.SEARCH, 0, measures=("edges",))
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
    [fails, lambda scores: scores[:-1], lambda scores: [*scores, scores[0]], lambda scores: [0.5, *scores[1:]], len],
    ids=["raises", "one too few", "one too many", "not all scores", "no list"],
)
def test_a_batch_that_is_not_answered_as_it_should_be_goes_one_by_one(
    together: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "measure", lambda name, topology: 0.0)
    outcomes = running.run(Batches(together), TASKS, "")
    assert [one.score for one in outcomes] == [Score((float(task.topology.n_edges),)) for task in TASKS]


def test_a_score_without_errors_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "measure", lambda name, topology: 0.0)
    monkeypatch.setattr(Batches, "evaluate", lambda *asked: Score(()))
    outcomes = running.run(Batches(fails), TASKS, "")
    assert {one.failure for one in outcomes} == {"ValueError: the evaluator returned a Score without errors"}


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
    assert [one.failure for one in outcomes] == [None, "ArithmeticError: no measure", None]
