"""Workers under a simulated clock: a cluster of any size, with stragglers and nodes that die, without waiting for it.

The scores are real, the time is not: an evaluation takes a random number of simulated seconds, and the clock jumps
from event to event. Only the driver runs in earnest. What it computes between two calls of ``wait`` takes as long on
the clock as it took the processor, and no worker is handed anything meanwhile, so a slow driver shows as idle workers.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

import numpy as np

from cluster.pool import batch_size
from evaluators.rng import generator
from evaluators.run import run
from evaluators.task import Answer, BatchEvaluator, Evaluator, Outcome, Task


@dataclass(frozen=True)
class Nodes:
    """What simulated workers live on; times in seconds.

    Parameters
    ----------
    workers:
        Of a node; the last may have fewer.
    life:
        How long a node lives, exponentially distributed with this mean.
    noticed:
        Until it is known that a node has died, and its batches are tried again.
    away:
        Until a dead node's workers are back.
    """

    workers: int = 8
    life: float = math.inf
    noticed: float = 18.0
    away: float = 60.0


@dataclass(frozen=True, eq=False)
class _Call:
    """A batch in the hands of a worker, and how long each of its tasks takes there."""

    worker: int
    batch: tuple[Task, ...]
    start: float
    seconds: tuple[float, ...]


class SimulatedPool:
    """A :class:`cluster.pool.Pool` of workers that exist on a simulated clock only.

    A node that dies takes its workers along; what they held is split and tried again, as on a real cluster. Equal
    arguments give equal durations and deaths.

    Parameters
    ----------
    evaluator:
        Called when a task's simulated moment has come.
    workers:
        Their number, those away included.
    mean, sigma:
        Of the lognormal seconds that a task takes: their mean, and the standard deviation of their logarithm.
    nodes:
        Where the workers live; by default they never die.
    handing_over:
        Seconds of the driver that giving a batch to a worker takes, besides what is measured.
    seed:
        Of durations and deaths.
    clock:
        Seconds that the driver has computed; by default those of its thread.

    Raises
    ------
    ValueError
        When there is no worker, or a time is not positive.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        workers: int = 2,
        mean: float = 1.0,
        sigma: float = 0.5,
        nodes: Nodes | None = None,
        handing_over: float = 0.0,
        seed: int = 0,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._nodes = nodes = nodes or Nodes()
        if min(workers, nodes.workers) < 1 or min(mean, nodes.life) <= 0:
            raise ValueError(
                f"{workers} workers, mean = {mean}, {nodes}: there is at least one of each, and time passes"
            )
        self._evaluator, self._together = evaluator, isinstance(evaluator, BatchEvaluator)
        self._size, self._median, self._sigma = workers, mean * math.exp(-(sigma**2) / 2), sigma
        self._handing_over, self._seed, self._clock = handing_over, seed, clock
        self._left = math.inf  # the driver's clock when it was last given control
        self._now = self._driver = self._done = 0.0
        self._seconds = 0.0  # of one task, lately
        self._waiting: deque[Task] = deque()
        self._again: deque[tuple[Task, ...]] = deque()  # parts of batches that were lost
        self._idle: list[int] = []
        self._busy: dict[int, _Call] = {}  # by worker
        self._lost: list[_Call] = []  # with a node of which that is not known yet
        self._events: list[tuple[float, int, Callable[[], list[Outcome]]]] = []
        self._order = count()
        for start in range(0, workers, nodes.workers):
            node = range(start, min(start + nodes.workers, workers))
            self._live(node, generator(seed, "node", start))

    @property
    def size(self) -> int:
        """Workers, those included whose node is away."""
        return self._size

    @property
    def in_flight(self) -> int:
        """Tasks submitted and not answered yet."""
        held = [*self._again, *(call.batch for call in (*self._busy.values(), *self._lost))]
        return len(self._waiting) + sum(len(batch) for batch in held)

    @property
    def now(self) -> float:
        """Simulated seconds since the pool was made."""
        return self._now

    @property
    def driver(self) -> float:
        """Seconds of these that the driver computed, with what handing over batches took it."""
        return self._driver

    @property
    def worked(self) -> float:
        """Worker-seconds of work done until now that was not lost."""
        under_way = (min(max(self._now - call.start, 0.0), sum(call.seconds)) for call in self._busy.values())
        return self._done + sum(under_way)

    @property
    def busy(self) -> float:
        """Share of all worker-seconds spent at work; workers that idle or are away, and lost work, are the rest."""
        return self.worked / (self._size * self._now) if self._now else 0.0

    def submit(self, tasks: Sequence[Task]) -> None:
        """Keep tasks; workers take them when the driver waits next."""
        self._waiting.extend(tasks)

    def wait(self) -> list[Outcome]:
        """Let the clock run until outcomes arrive; there are none only when nothing is in flight."""
        self._drive(max(self._clock() - self._left, 0.0))
        while True:
            arrived = self._happen()
            self._hand_out()
            if arrived or not self.in_flight:
                self._left = self._clock()
                return arrived
            self._now = max(self._now, self._events[0][0])

    def close(self) -> None:
        """Drop what is in flight; the workers are idle again."""
        self._idle += self._busy
        for held in (self._busy, self._lost, self._waiting, self._again):
            held.clear()

    def _drive(self, seconds: float) -> None:
        self._now += seconds
        self._driver += seconds

    def _after(self, seconds: float, event: Callable[[], list[Outcome]]) -> None:
        heapq.heappush(self._events, (self._now + seconds, next(self._order), event))

    def _happen(self) -> list[Outcome]:
        """All that is due by now, and the outcomes of it."""
        outcomes = []
        while self._events and self._events[0][0] <= self._now:
            outcomes += heapq.heappop(self._events)[2]()
        return outcomes

    def _hand_out(self) -> None:
        while self._idle and (self._again or self._waiting):
            batch = self._again.popleft() if self._again else self._next_batch()
            self._drive(self._handing_over)
            call = _Call(self._idle.pop(), batch, self._now, tuple(self._duration(task) for task in batch))
            self._busy[call.worker] = call
            self._after(sum(call.seconds), partial(self._answer, call))

    def _next_batch(self) -> tuple[Task, ...]:
        count = batch_size(len(self._waiting), self._size, self._together, self._seconds)
        return tuple(self._waiting.popleft() for _ in range(count))

    def _duration(self, task: Task) -> float:
        """The same at every try and on every cluster."""
        deviation = generator(self._seed, "duration", task.number).standard_normal()
        return self._median * math.exp(self._sigma * float(deviation))

    def _answer(self, call: _Call) -> list[Outcome]:
        """The outcomes of a batch; none if it was lost, or is split for lack of memory."""
        if self._busy.get(call.worker) is not call:
            return []
        del self._busy[call.worker]
        self._idle.append(call.worker)
        self._done += sum(call.seconds)
        self._seconds = sum(call.seconds) / len(call.seconds)
        try:
            outcomes = run(self._evaluator, call.batch, f"simulated worker {call.worker}")
        except MemoryError as error:
            if len(call.batch) > 1:
                return self._try_again(call.batch)
            failed = Answer(failure=f"MemoryError: {error}")
            outcomes = [Outcome(number=call.batch[0].number, answer=failed, seconds=0.0, device="none")]
        return [replace(one, seconds=seconds) for one, seconds in zip(outcomes, call.seconds, strict=True)]

    def _try_again(self, batch: tuple[Task, ...]) -> list[Outcome]:
        middle = len(batch) // 2
        self._again += [part for part in (batch[:middle], batch[middle:]) if part]
        return []

    def _live(self, node: range, key: np.random.Generator) -> list[Outcome]:
        """A node's workers are there, until it dies."""
        self._idle += node
        if self._nodes.life < math.inf:
            self._after(float(key.exponential(self._nodes.life)), partial(self._die, node, key))
        return []

    def _die(self, node: range, key: np.random.Generator) -> list[Outcome]:
        self._idle = [worker for worker in self._idle if worker not in node]
        for call in [self._busy.pop(worker) for worker in node if worker in self._busy]:
            self._lost.append(call)
            self._after(self._nodes.noticed, partial(self._notice, call))
        self._after(self._nodes.away, partial(self._live, node, key))
        return []

    def _notice(self, call: _Call) -> list[Outcome]:
        if call not in self._lost:  # dropped since
            return []
        self._lost.remove(call)
        return self._try_again(call.batch)
