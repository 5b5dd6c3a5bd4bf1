"""What a pool of evaluators is, and the evaluation that every worker makes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Protocol

from evaluators.task import Evaluator, Fidelity, Outcome, Score, Stream, Task
from topologies.families.butterfly import butterfly


class Pool(Protocol):
    """Workers that evaluate tasks. Outcomes arrive in any order; every task is answered exactly once."""

    @property
    def size(self) -> int:
        """Tasks that are evaluated at the same time."""
        ...

    @property
    def in_flight(self) -> int:
        """Tasks submitted and not answered yet."""
        ...

    def submit(self, task: Task) -> None:
        """Hand a task over; returns at once."""
        ...

    def wait(self) -> list[Outcome]:
        """Outcomes that have arrived, at least one; empty only when nothing is in flight."""
        ...

    def close(self) -> None:
        """Let the workers go; tasks in flight are dropped."""
        ...


def run(evaluator: Evaluator, task: Task, device: str) -> Outcome:
    """Evaluate one task here and now, its race included; what the evaluator raises becomes the failure, in words."""
    start = time.perf_counter()
    score, failure = None, None
    try:
        score = evaluator.evaluate(task.topology, task.fidelity, task.stream, task.seed)
        if not isinstance(score, Score):
            raise TypeError(f"the evaluator returned {type(score).__name__}, not a Score")
        if task.race is not None and score.error < task.race.bar:
            closer = task.fidelity.closer(task.race.targets, score.rate)
            score = evaluator.evaluate(task.topology, closer, task.stream, task.seed)
    except Exception as error:
        score, failure = None, " ".join(f"{type(error).__name__}: {error}".split())
    return Outcome(task.number, score, failure, time.perf_counter() - start, device)


def map_tasks(pool: Pool, tasks: Iterable[Task]) -> Iterator[Outcome]:
    """Submit all tasks and yield their outcomes as they arrive; nothing else may be in flight."""
    for task in tasks:
        pool.submit(task)
    while pool.in_flight:
        yield from pool.wait()


def canary(evaluator: Evaluator) -> str:
    """What comes of one small evaluation, to the last bit: by this a worker shows that it computes as the others do."""
    task = Task(0, butterfly(4, 3), Fidelity(targets=2, steps=5, rates=(0.1,)), Stream.SEARCH, seed=0)
    outcome = run(evaluator, task, "")
    return repr(outcome.score) if outcome.score else f"{outcome.failure}"
