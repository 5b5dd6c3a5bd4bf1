"""Evaluators in Ray actors, one core (or a share of a GPU) each, on this machine or on many.

Every actor first proves itself: one small evaluation must give the bits that it gives in this process. An actor that
dies is replaced and its task runs again elsewhere; a task during which two actors died is answered with a failure.
An actor holds one task at a time, so that it is never in doubt which task it died of. Results do not depend on which
actor evaluates what: see ``evaluators.task``.
"""

from __future__ import annotations

import logging
import socket
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import ray
from ray.exceptions import RayError

from cluster.pool import canary, run
from evaluators.task import Evaluator, Outcome, Task

READY_SECONDS = 120.0
"""How long a pool without any worker waits for one to start and to compile its kernels."""
DEATHS = 2
"""A task that was being evaluated at this many deaths is not tried again."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Share:
    """What one worker takes of a cluster."""

    cpus: float = 1.0
    gpus: float = 0.0

    def __str__(self) -> str:
        return f"{self.cpus:g} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")


class Worker:
    """Lives in an actor: holds the evaluator, evaluates tasks one by one."""

    def __init__(self, evaluator: Evaluator) -> None:
        from evofabric import check_packages

        check_packages()
        gpus = ray.get_gpu_ids()
        place = f"gpu {','.join(str(gpu) for gpu in gpus)}" if gpus else "cpu"
        self._device = f"{place} on {socket.gethostname()}"
        self._evaluator = evaluator

    def prove(self) -> str:
        """Compile what must be compiled, and show by one small evaluation what bits come out here."""
        return canary(self._evaluator)

    def evaluate(self, task: Task) -> Outcome:
        """The outcome of one task."""
        return run(self._evaluator, task, self._device)


class RayPool:
    """A :class:`cluster.pool.Pool` of Ray actors; Ray must be connected (:func:`cluster.ray_session.session`).

    Workers join as they have proved themselves; the constructor waits for the first. One that fails its proof is let
    go with a warning.

    Parameters
    ----------
    evaluator:
        Copied to every actor.
    workers:
        Number of actors; by default as many as the cluster has room for.
    share:
        What each actor reserves.

    Raises
    ------
    ValueError
        When the cluster has no room for the workers, or the evaluator cannot be copied; also from :meth:`wait`, when
        no worker is left that proves itself.
    """

    def __init__(self, evaluator: Evaluator, workers: int | None = None, share: Share | None = None) -> None:
        self._evaluator, self._share = evaluator, share or Share()
        room = _room(self._share)
        if room < (workers or 1):
            raise ValueError(
                f"the Ray cluster has room for {room} workers of {self._share} each, not for {workers or 1}: "
                "ask for fewer or smaller ones"
            )
        self._proof, self._complaint = canary(evaluator), ""
        self._waiting: deque[Task] = deque()
        self._deaths: Counter[int] = Counter()
        self._starting: dict[Any, Any] = {}  # proof to come -> actor
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Task]] = {}  # outcome to come -> actor, task
        try:
            for _ in range(workers or room):
                self._start()
            while not self._idle:
                self._listen()
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Number of actors, those included that have not proved themselves yet."""
        return len(self._starting) + len(self._idle) + len(self._busy)

    @property
    def in_flight(self) -> int:
        """Tasks submitted and not answered yet."""
        return len(self._waiting) + len(self._busy)

    def submit(self, task: Task) -> None:
        """Hand a task to an idle actor, or keep it until there is one."""
        self._waiting.append(task)
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
        for actor in [*self._starting.values(), *self._idle, *(actor for actor, _ in self._busy.values())]:
            ray.kill(actor)
        for held in (self._starting, self._idle, self._busy, self._waiting):
            held.clear()

    def _start(self) -> None:
        remote = ray.remote(num_cpus=self._share.cpus, num_gpus=self._share.gpus)(Worker)
        try:
            actor: Any = remote.remote(self._evaluator)
        except TypeError as error:
            raise ValueError(f"the evaluator cannot be copied to workers: {error.__cause__}") from error
        self._starting[actor.prove.remote()] = actor

    def _hand_out(self) -> None:
        while self._waiting and self._idle:
            actor, task = self._idle.pop(), self._waiting.popleft()
            self._busy[actor.evaluate.remote(task)] = (actor, task)

    def _listen(self) -> list[Outcome]:
        """Wait until something happens; the outcomes among what did."""
        expected = [*self._busy, *self._starting]
        if not expected:
            raise ValueError(f"no Ray worker is left; the last {self._complaint}")
        ready, _ = ray.wait(expected, num_returns=1, timeout=None if self._busy else READY_SECONDS)
        if not ready:
            raise ValueError(f"no Ray worker was ready within {READY_SECONDS:.0f} s: is the cluster busy?")
        ready, _ = ray.wait(expected, num_returns=len(expected), timeout=0)
        outcomes = []
        for reference in ready:
            if reference in self._starting:
                self._admit(reference)
            else:
                outcomes += self._collect(reference)
        return outcomes

    def _admit(self, reference: Any) -> None:
        """Put an actor to use if it has proved itself."""
        actor = self._starting.pop(reference)
        try:
            found = ray.get(reference)
        except RayError as error:
            self._complaint = f"could not start: {_reason(error)}"
        else:
            if found == self._proof:
                self._idle.append(actor)
                return
            self._complaint = f"computed {found} where this process computes {self._proof}"
        ray.kill(actor)
        _log.warning("a Ray worker is let go: it %s", self._complaint)

    def _collect(self, reference: Any) -> list[Outcome]:
        """The outcome of a task; none if its actor died and the task is tried again."""
        actor, task = self._busy.pop(reference)
        try:
            outcome: Outcome = ray.get(reference)
        except RayError as error:
            ray.kill(actor)  # it may be only out of reach
            self._start()
            self._deaths[task.number] += 1
            if self._deaths[task.number] < DEATHS:
                self._waiting.appendleft(task)
                return []
            outcome = Outcome(task.number, None, f"{DEATHS} workers died of it: {_reason(error)}", 0.0, "none")
        else:
            self._idle.append(actor)
        del self._deaths[task.number]
        return [outcome]


def _room(share: Share) -> int:
    """Workers that the nodes can hold; a worker takes its share from one node."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return sum(_fitting(node["Resources"], share) for node in nodes if node["Alive"])


def _fitting(resources: Mapping[str, float], share: Share) -> int:
    room = _times(share.cpus, resources.get("CPU", 0.0))
    if share.gpus:
        gpus = resources.get("GPU", 0.0)  # shares of less than one are cut from single GPUs
        room = min(room, int(gpus) * _times(share.gpus, 1.0) if share.gpus < 1 else _times(share.gpus, gpus))
    return room


def _times(part: float, whole: float) -> int:
    return int(whole / part + 1e-6)


def _reason(error: RayError) -> str:
    """The gist of Ray's long explanations, which stands at their end."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return shorten(lines[-1], 400, placeholder=" ...") if lines else type(error).__name__
