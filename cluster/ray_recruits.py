"""Actors that are starting, until they have proved themselves or show that they cannot."""

from __future__ import annotations

import logging
import time
from typing import Any

import ray
from ray.exceptions import RayError

from cluster import ray_log
from cluster.ray_resources import Share, gist, room_for
from cluster.ray_worker import Worker
from evaluators.task import Evaluator, Task

READY_SECONDS = 120.0
"""How long a pool without any worker waits for one to start and to compile its kernels."""
RECRUIT_SECONDS = 5.0
"""How often a pool looks whether the cluster has more or less room than before."""
LONGEST_PAUSE = 60.0
"""Between two tries to start actors that keep failing, which begin at a second and double."""

_log = logging.getLogger(__name__)


class Recruits:
    """The actors of a pool that have not proved themselves yet.

    Parameters
    ----------
    evaluator, task:
        What every actor holds, and the small evaluation by which it proves itself. They are put into Ray's object store
        once, from which every node fetches them once: its actors share arrays such as data to train on.
    proof:
        What that must give.
    wanted:
        Number of actors, those at work included; None for as many as there is room for.
    share:
        What each reserves.

    Raises
    ------
    ValueError
        When the evaluator cannot be copied.
    """

    def __init__(self, evaluator: Evaluator, task: Task, proof: str, wanted: int | None, share: Share) -> None:
        try:
            self._held = [ray.put((evaluator, task))]
        except TypeError as error:
            raise ValueError(f"the evaluator cannot be copied to workers: {error.__cause__ or error}") from error
        self._proof, self._wanted, self._share = proof, wanted, share
        self.starting: dict[Any, Any] = {}
        """The actors that are starting, by the proof to come."""
        self._failed = 0  # tries since the last that succeeded
        self._complaint = ""  # what was wrong with the last
        self._next = 0.0  # moment of the next try
        self._proved = False  # whether any has ever succeeded
        self._recruited = -RECRUIT_SECONDS
        self._began = time.monotonic()
        self._looked = self._began  # when there last was a worker, or the pool was made

    def recruit(self, at_work: int, now: bool = False) -> None:
        """Have as many actors as are wanted and as there is room for, if it is time to look, or now."""
        moment = time.monotonic()
        if moment < max(0.0 if now else self._recruited + RECRUIT_SECONDS, self._next):
            return
        self._recruited = moment
        room = room_for(self._share)
        size, wanted = at_work + len(self.starting), room if self._wanted is None else min(self._wanted, room)
        for reference in list(self.starting)[: max(size - wanted, 0)]:
            ray.kill(self.starting.pop(reference))
        for _ in range(wanted - size):
            recruit: Any = ray.remote(num_cpus=self._share.cpus, num_gpus=self._share.gpus)(Worker).remote(self._held)
            self.starting[recruit.prove.remote()] = recruit

    def admit(self, reference: Any) -> list[tuple[Any, str]]:
        """The actor that has answered, and its node, if it has proved itself; else none, and why is noted."""
        actor = self.starting.pop(reference)
        try:
            found, node, host = ray.get(reference)
        except RayError as error:
            complaint = f"could not start: {gist(error)}"
        else:
            if found == self._proof:
                self._failed, self._next, self._proved = 0, 0.0, True
                return [(actor, node)]
            complaint = f"computed {found} on {host} where this process computes {self._proof}"
        ray.kill(actor)
        if complaint != self._complaint:
            _log.warning("a Ray worker is let go: it %s", complaint)
        self._complaint, self._failed = complaint, self._failed + 1
        self._next = time.monotonic() + min(2.0 ** (self._failed - 1), LONGEST_PAUSE)
        return []

    def check_hope(self, at_work: int) -> None:
        """Raise ValueError if there is no worker at work, and it is idle to wait for one."""
        now = time.monotonic()
        if at_work:
            self._looked = now
        elif not self.starting and self._failed and not self._proved:
            raise ValueError(f"no Ray worker is left; the last {self._complaint}")
        elif now - self._looked > READY_SECONDS:
            raise ValueError(f"no Ray worker was ready within {READY_SECONDS:.0f} s: {self._why()}")
        elif not self._proved and (said := ray_log.dead_everywhere(self._share)):
            raise ValueError(f"no Ray worker can start, the processes die; {said}")

    def _why(self) -> str:
        if self._failed:
            return f"the last {self._complaint}"
        if said := ray_log.last_words(self._began):
            return f"the processes say; {said}"
        return "is the cluster busy? If not, Ray's logs say more, in session_latest/logs of its folder on every node"

    def close(self) -> None:
        """Kill the actors."""
        for actor in self.starting.values():
            ray.kill(actor)
        self.starting.clear()
