"""What a pool of evaluators is, and the evaluation that every worker makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from evaluators.task import Outcome, Task


class Pool(Protocol):
    """Workers that evaluate tasks. Outcomes arrive in any order; every task is answered exactly once."""

    @property
    def size(self) -> int:
        """Workers, those included that are not ready yet."""
        ...

    @property
    def in_flight(self) -> int:
        """Tasks submitted and not answered yet."""
        ...

    def submit(self, tasks: Sequence[Task]) -> None:
        """Hand tasks over; returns at once. A worker may be given several at a time."""
        ...

    def wait(self) -> list[Outcome]:
        """Outcomes that have arrived, at least one; empty only when nothing is in flight."""
        ...

    def close(self) -> None:
        """Let the workers go; tasks in flight are dropped."""
        ...


BATCH_SECONDS = 0.25
"""Of work that a worker is given at a time, so that handing it over costs next to nothing."""


def batch_size(waiting: int, workers: int, together: bool, seconds: float) -> int:
    """How many of the waiting tasks to give to one worker: a fair share, but a mouthful unless ``together`` is faster.

    ``seconds`` is what one task took lately, 0 if that is not known.
    """
    share = -(-waiting // max(workers, 1))
    if not together:
        share = min(share, int(BATCH_SECONDS / seconds) if seconds else 1)
    return max(share, 1)


def map_tasks(pool: Pool, tasks: Iterable[Task]) -> Iterator[Outcome]:
    """Submit all tasks and yield their outcomes as they arrive; nothing else may be in flight."""
    pool.submit(list(tasks))
    while pool.in_flight:
        yield from pool.wait()
