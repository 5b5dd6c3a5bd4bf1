"""Evaluators in Ray actors, one core (or a share of a GPU) each, on this machine or on many.

Every actor first proves itself: one small evaluation must give the bits that it gives in this process. It is then
handed a *batch* of tasks at a time. What may happen to actors, and what is done:

- One that dies, hangs or runs out of memory is replaced. Its batch is split and tried again elsewhere, until the task
  that does this is alone; a single task that then fells two actors more, which had just proved to be alive, is
  answered with a failure. An actor that went down with its node says nothing of its task.
- One that fails its proof, or does not start, is let go; the next try waits a while, and longer every time.
- Nodes that join get actors, and actors that wait for room that no longer exists are given up.

Results do not depend on any of this, nor on batches: see ``evaluators.task``.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from cluster.pool import batch_size
from cluster.ray_recruits import RECRUIT_SECONDS, Recruits
from cluster.ray_resources import Share, gist, living_nodes, room_for
from evaluators.run import canary, proof
from evaluators.task import Answer, BatchEvaluator, Evaluator, Outcome, Task

DEATHS = 2
"""A task under suspicion that this many actors died of is not tried again."""

PROOF = proof(4, 4)
"""The usual proof of an actor."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Call:
    """A batch in the hands of an actor, with the moment by which it must be answered."""

    actor: Any
    node: str
    batch: tuple[Task, ...]
    deadline: float
    alive: Any = None
    """Where the batch is under suspicion: a sign of life that the actor gives before it begins."""


class RayPool:
    """A :class:`cluster.pool.Pool` of Ray actors; Ray must be connected (:func:`cluster.ray_session.session`).

    Workers join as they have proved themselves; the constructor waits for the first.

    Parameters
    ----------
    evaluator:
        Put into Ray's object store once, from which every node fetches it once, however many actors it has: they share
        its arrays, such as data to train on, without a copy of their own.
    workers:
        Number of actors; by default as many as the cluster has room for, at any time.
    share:
        What each actor reserves.
    task_timeout:
        Seconds that an evaluation may take; an actor that takes longer is taken for dead.
    judge:
        What the proof is compared with: by default ``evaluator`` itself, in this process. For an evaluator that needs
        a device which is not here, one that gives the same bits without it.
    proof:
        The small evaluation by which an actor proves itself.

    Raises
    ------
    ValueError
        When the cluster has no room for the workers, or the evaluator cannot be copied; also from :meth:`wait`, when
        no worker is left that proves itself.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        workers: int | None = None,
        share: Share | None = None,
        task_timeout: float = float("inf"),
        judge: Evaluator | None = None,
        proof: Task = PROOF,
    ) -> None:
        self._share, self._task_timeout = share or Share(), task_timeout
        self._together = isinstance(evaluator, BatchEvaluator)
        room = room_for(self._share)
        if room < (workers or 1):
            raise ValueError(
                f"the Ray cluster has room for {room} workers of {self._share} each, not for {workers or 1}: "
                "ask for fewer or smaller ones"
            )
        self._recruits = Recruits(evaluator, proof, canary(judge or evaluator, proof), workers, self._share)
        self._waiting: deque[Task] = deque()
        self._suspects: deque[tuple[Task, ...]] = deque()  # parts of batches that an actor did not survive
        self._deaths: Counter[int] = Counter()
        self._seconds = 0.0  # of one task, lately
        self._idle: list[tuple[Any, str]] = []  # actor, node
        self._busy: dict[Any, _Call] = {}  # outcomes to come -> who makes them
        try:
            while not self._idle:
                self._listen()
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Number of actors, those included that have not proved themselves yet."""
        return len(self._recruits.starting) + self._at_work

    @property
    def _at_work(self) -> int:
        return len(self._idle) + len(self._busy)

    @property
    def in_flight(self) -> int:
        """Tasks submitted and not answered yet."""
        held = [*self._suspects, *(call.batch for call in self._busy.values())]
        return len(self._waiting) + sum(len(batch) for batch in held)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Hand tasks to idle actors, or keep them until there are some."""
        self._waiting.extend(tasks)
        self._hand_out()

    def wait(self) -> list[Outcome]:
        """Outcomes that have arrived, at least one; empty only when nothing is in flight."""
        arrived: list[Outcome] = []
        while not arrived and self.in_flight:
            arrived = self._listen()
            self._hand_out()
        return arrived

    def close(self) -> None:
        """Kill the actors; tasks in flight are dropped."""
        busy = (call.actor for call in self._busy.values())
        for actor in [*(actor for actor, _ in self._idle), *busy]:
            ray.kill(actor)
        self._recruits.close()
        for held in (self._idle, self._busy, self._waiting, self._suspects):
            held.clear()

    def _hand_out(self) -> None:
        while self._idle and (self._suspects or self._waiting):
            actor, node = self._idle.pop()
            suspect = bool(self._suspects)
            batch = self._suspects.popleft() if suspect else self._next_batch()
            alive = actor.prove.remote() if suspect else None
            deadline = time.monotonic() + self._task_timeout * len(batch)
            self._busy[actor.evaluate.remote(batch)] = _Call(actor, node, batch, deadline, alive)

    def _next_batch(self) -> tuple[Task, ...]:
        count = batch_size(len(self._waiting), self.size, self._together, self._seconds)
        return tuple(self._waiting.popleft() for _ in range(count))

    def _listen(self) -> list[Outcome]:
        """Wait until something happens, but not for ever; the outcomes among what did."""
        self._recruits.recruit(self._at_work)
        self._recruits.check_hope(self._at_work)
        now, expected = time.monotonic(), [*self._busy, *self._recruits.starting]
        until = min([now + RECRUIT_SECONDS, *(call.deadline for call in self._busy.values())])
        if not expected:
            time.sleep(min(0.1, until - now))
            return []
        ray.wait(expected, num_returns=1, timeout=max(until - now, 0.01))
        ready, _ = ray.wait(expected, num_returns=len(expected), timeout=0)
        outcomes = []
        for reference in ready:
            if reference in self._recruits.starting:
                self._idle += self._recruits.admit(reference)
            else:
                outcomes += self._collect(reference)
        for reference in [one for one, call in self._busy.items() if call.deadline < time.monotonic()]:
            call = self._busy.pop(reference)
            outcomes += self._lost(call, f"it took longer than {self._task_timeout:g} s")
        return outcomes

    def _collect(self, reference: Any) -> list[Outcome]:
        """The outcomes of a batch; none if its actor died and it is tried again."""
        call = self._busy.pop(reference)
        try:
            outcomes: list[Outcome] = ray.get(reference)
        except RayError as error:
            return self._lost(call, gist(error))
        self._idle.append((call.actor, call.node))
        self._seconds = sum(outcome.seconds for outcome in outcomes) / len(outcomes)
        for task in call.batch:
            del self._deaths[task.number]
        return outcomes

    def _lost(self, call: _Call, reason: str) -> list[Outcome]:
        """Replace an actor and try its batch again, in halves; or the failure of a single task that did it again."""
        ray.kill(call.actor)  # it may be only out of reach
        self._recruits.recruit(self._at_work, now=True)
        if len(call.batch) > 1:
            _say_lost(call, reason)
            middle = len(call.batch) // 2
            self._suspects += [call.batch[:middle], call.batch[middle:]]
            return []
        (task,) = call.batch
        self._deaths[task.number] += _was_alive(call)
        if self._deaths[task.number] < DEATHS:
            _say_lost(call, reason)
            self._suspects.append(call.batch)
            return []
        del self._deaths[task.number]
        died = Answer(failure=f"worker after worker died of it: {reason}")
        return [Outcome(number=task.number, answer=died, seconds=0.0, device="none")]


def _say_lost(call: _Call, reason: str) -> None:
    _log.warning("a Ray worker was lost, %d of its tasks are tried again elsewhere: %s", len(call.batch), reason)


def _was_alive(call: _Call) -> bool:
    """Whether an actor is known to have begun its batch, and its node is still there."""
    if call.alive is None or call.node not in living_nodes():
        return False
    try:
        ray.get(call.alive, timeout=0.1)
    except (RayError, TimeoutError):
        return False
    return True
