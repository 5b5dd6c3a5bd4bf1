"""The simplest pool: evaluates in this process, one task at a time, in the order they came."""

from __future__ import annotations

from collections import deque

from cluster.pool import run
from evaluators.task import Evaluator, Outcome, Task


class InProcessPool:
    """A :class:`cluster.pool.Pool` without workers: ``wait`` does the work."""

    size = 1

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._waiting: deque[Task] = deque()

    @property
    def in_flight(self) -> int:
        """Tasks submitted and not evaluated yet."""
        return len(self._waiting)

    def submit(self, task: Task) -> None:
        """Put a task at the end of the queue."""
        self._waiting.append(task)

    def wait(self) -> list[Outcome]:
        """Evaluate the next task."""
        if not self._waiting:
            return []
        return [run(self._evaluator, self._waiting.popleft(), "this process")]

    def close(self) -> None:
        """Drop what is waiting."""
        self._waiting.clear()
