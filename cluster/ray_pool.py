"""Evaluators in Ray actors, one core (or a share of a GPU) each, on this machine or on many.

An actor that dies is replaced and its tasks run again elsewhere; a task that was being evaluated when two actors
died is answered with a failure. Results do not depend on which actor evaluates what: see ``evaluators.task``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from cluster.pool import canary, run
from cluster.ray_session import worker_environment
from evaluators.task import Evaluator, Outcome, Score, Task

QUEUE = 2
"""Tasks an actor holds: one to evaluate, one so that it need not wait for the next."""
READY_SECONDS = 120.0
"""How long new actors may take to start and to compile their kernels."""
DEATHS = 2
"""A task that was being evaluated at this many deaths is not tried again."""


@dataclass(frozen=True)
class Share:
    """What one worker takes of a cluster."""

    cpus: float = 1.0
    gpus: float = 0.0


class Worker:
    """Lives in an actor: holds the evaluator, evaluates tasks one by one."""

    def __init__(self, evaluator: Evaluator) -> None:
        from evofabric import check_packages

        check_packages()
        context = ray.get_runtime_context()
        gpus = ray.get_gpu_ids()
        place = f"gpu {','.join(str(gpu) for gpu in gpus)}" if gpus else "cpu"
        self._device = f"{place} on {context.get_node_id()[:8]}"
        self._evaluator = evaluator

    def prove(self) -> Score:
        """Compile what must be compiled, and show by one small evaluation what bits come out here."""
        return canary(self._evaluator)

    def evaluate(self, task: Task) -> Outcome:
        """The outcome of one task."""
        return run(self._evaluator, task, self._device)


@dataclass
class _Actor:
    """A live actor, its tasks in the order it will evaluate them, and whether it has proved itself."""

    handle: Any
    queue: list[Task] = field(default_factory=list)


class RayPool:
    """A :class:`cluster.pool.Pool` of Ray actors; Ray must be connected (:func:`cluster.ray_session.session`).

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
        When the cluster has no room for the workers, or they do not agree on the bits of one small evaluation.
    """

    def __init__(self, evaluator: Evaluator, workers: int | None = None, share: Share | None = None) -> None:
        self._share = share or Share()
        self._evaluator = evaluator
        room = _room(self._share)
        if room < 1 or (workers is not None and workers > room):
            wanted = f"{workers or 1} workers of {self._share.cpus:g} cores and {self._share.gpus:g} GPUs"
            raise ValueError(f"the Ray cluster has no room for {wanted}: it can hold {room}")
        self._actors = [self._start() for _ in range(workers or room)]
        self._waiting: list[Task] = []
        self._running: dict[Any, tuple[_Actor, Task]] = {}
        self._deaths: Counter[int] = Counter()
        self._prove()

    @property
    def size(self) -> int:
        """Number of actors."""
        return len(self._actors)

    @property
    def in_flight(self) -> int:
        """Tasks submitted and not answered yet."""
        return len(self._waiting) + len(self._running)

    def submit(self, task: Task) -> None:
        """Hand a task to the idlest actor, or keep it until one has room."""
        self._waiting.append(task)
        self._hand_out()

    def wait(self) -> list[Outcome]:
        """Outcomes that have arrived, at least one; empty only when nothing is in flight."""
        arrived: list[Outcome] = []
        while not arrived and self._running:
            done, _ = ray.wait(list(self._running), num_returns=1)
            more, _ = ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
            for reference in dict.fromkeys([*done, *more]):
                if reference in self._running:  # the death of an actor answers for all its tasks at once
                    arrived += self._collect(reference)
            self._hand_out()
        return arrived

    def close(self) -> None:
        """Kill the actors; tasks in flight are dropped."""
        for actor in self._actors:
            ray.kill(actor.handle)
        self._waiting, self._running = [], {}

    def _start(self) -> _Actor:
        remote = ray.remote(num_cpus=self._share.cpus, num_gpus=self._share.gpus)(Worker)
        options = remote.options(runtime_env={"env_vars": worker_environment()})
        return _Actor(options.remote(self._evaluator))

    def _prove(self) -> None:
        try:
            scores = ray.get([actor.handle.prove.remote() for actor in self._actors], timeout=READY_SECONDS)
        except GetTimeoutError:
            raise ValueError(f"{self.size} Ray workers did not start within {READY_SECONDS:.0f} s") from None
        except RayError as error:
            raise ValueError(f"a Ray worker could not start: {_reason(error)}") from error
        if len(set(scores)) > 1:
            raise ValueError(f"the Ray workers disagree on one small evaluation: {sorted(map(str, set(scores)))}")

    def _hand_out(self) -> None:
        while self._waiting:
            actor = min(self._actors, key=lambda candidate: len(candidate.queue))
            if len(actor.queue) >= QUEUE:
                return
            task = self._waiting.pop(0)
            actor.queue.append(task)
            self._running[actor.handle.evaluate.remote(task)] = (actor, task)

    def _collect(self, reference: Any) -> list[Outcome]:
        actor, task = self._running[reference]
        try:
            outcome: Outcome = ray.get(reference)
        except RayError as error:
            return self._bury(actor, _reason(error))
        del self._running[reference]
        actor.queue.remove(task)
        return [outcome]

    def _bury(self, actor: _Actor, reason: str) -> list[Outcome]:
        """Replace a dead actor and queue its tasks again; give up the task that has now outlived enough actors."""
        ray.kill(actor.handle)
        self._running = {ref: (owner, task) for ref, (owner, task) in self._running.items() if owner is not actor}
        self._actors[self._actors.index(actor)] = self._start()
        suspect, *innocent = actor.queue
        self._deaths[suspect.number] += 1
        if self._deaths[suspect.number] < DEATHS:
            self._waiting = [suspect, *innocent, *self._waiting]
            return []
        self._waiting = [*innocent, *self._waiting]
        words = f"{DEATHS} workers died evaluating it: {reason}"
        return [Outcome(suspect.number, None, words, 0.0, "none")]


def _room(share: Share) -> int:
    """Workers that the cluster's resources can hold."""
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    room = [resources.get("CPU", 0.0) / share.cpus]
    if share.gpus:
        room.append(resources.get("GPU", 0.0) / share.gpus)
    return int(min(room) + 1e-6)


def _reason(error: RayError) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
