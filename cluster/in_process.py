"""The simplest pool: evaluates in this process, one task at a time, in the order they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from evaluators.run import run, words
from evaluators.task import Answer, BrokenDeviceError, Evaluator, Outcome, Task


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

    def submit(self, tasks: Sequence[Task]) -> None:
        """Put tasks at the end of the queue."""
        self._waiting.extend(tasks)

    def wait(self) -> list[Outcome]:
        """Evaluate the next task; one that exhausts the memory fails, as there is nowhere else to try it."""
        if not self._waiting:
            return []
        task = self._waiting.popleft()
        try:
            return run(self._evaluator, [task], "this process")
        except (MemoryError, BrokenDeviceError) as error:
            failed = Answer(failure=words(error))
            return [Outcome(number=task.number, answer=failed, seconds=0.0, device="this process")]

    def close(self) -> None:
        """Drop what is waiting."""
        self._waiting.clear()
