"""The ``evofabric`` command in a process that something will happen to.

A plan says when: in ``step`` and ``place`` at which of its steps (:mod:`tests.chaos.steps`), or in ``moments`` how many
evaluations after its start.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import evo.cli
import evo.storage.checkpoint
import evo.storage.pools
import evo.storage.run
import evo.tracking.background
import evofabric
from cluster.in_process import InProcessPool
from evaluators.task import Evaluator, Outcome, Task
from evo.run_settings import ClusterSettings
from evo.storage.journal import Journal
from evo.storage.records import Record
from tests.chaos.evaluator import note, notes
from tests.chaos.steps import STEPS, durable, fell, wrap


class Threads:
    """A pool of three threads: answers come in whatever order they are ready."""

    size = 3

    def __init__(self, evaluator: Evaluator) -> None:
        self.in_flight = 0
        self._asked: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._answered: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        for _ in range(self.size):
            threading.Thread(target=self._work, args=[InProcessPool(evaluator)], daemon=True).start()

    def submit(self, tasks: Sequence[Task]) -> None:
        """Let the threads take them."""
        self.in_flight += len(tasks)
        for task in tasks:
            self._asked.put(task)

    def wait(self) -> list[Outcome]:
        """All that is ready, at least one."""
        outcomes = [self._answered.get()] if self.in_flight else []
        while not self._answered.empty():
            outcomes.append(self._answered.get())
        self.in_flight -= len(outcomes)
        return outcomes

    def close(self) -> None:
        """The threads end with the process."""

    def _work(self, pool: InProcessPool) -> None:
        while True:
            pool.submit([self._asked.get()])
            for outcome in pool.wait():
                self._answered.put(outcome)


class Untracked:
    """A tracker that does nothing."""

    is_interrupted, has_filed = False, True

    def __init__(self, settings: object) -> None: ...

    def __enter__(self) -> Untracked:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None: ...

    def __call__(self, record: Record) -> None: ...


def at_work(diary: Path | None = None) -> list[dict[str, Any]]:
    """The evaluations that were begun and not ended, by a diary."""
    ended = [(one["key"], one["process"]) for one in notes("ended", diary=diary)]
    return [one for one in notes("began", diary=diary) if (one["key"], one["process"]) not in ended]


def freeze(candidates: Sequence[dict[str, Any]], diary: Path | None = None) -> dict[str, Any] | None:
    """Stop a process in the middle of one of these evaluations, if any is."""
    for victim in candidates:
        with suppress(ProcessLookupError):  # of an earlier victim
            os.kill(victim["process"], signal.SIGSTOP)
            if victim in at_work(diary):
                return victim
            os.kill(victim["process"], signal.SIGCONT)
    return None


def kill_worker() -> None:
    """Kill a process in the middle of an evaluation."""
    while (victim := freeze(at_work())) is None:
        pass
    fell("an actor at work", process=victim["process"], key=victim["key"])
    os.kill(victim["process"], signal.SIGKILL)


def send(number: int, times: int = 1, pause: float = 0.0) -> Callable[[], None]:
    """Send a signal to this process (Ctrl-C to the whole group, as a terminal does)."""

    def act() -> None:
        for _ in range(times):
            fell(signal.Signals(number).name)
            os.killpg(0, number) if number == signal.SIGINT else os.kill(os.getpid(), number)
            time.sleep(pause)

    return act


ACTIONS: dict[str, Callable[[], None]] = {
    "kill": send(signal.SIGKILL),
    "terminate": send(signal.SIGTERM),
    "interrupt": send(signal.SIGINT),
    "interrupt twice": send(signal.SIGINT, 2, 0.005),
    "interrupt twice slowly": send(signal.SIGINT, 2, 1.0),
    "kill worker": kill_worker,
}


def watch(moments: Sequence[tuple[int, float, str]]) -> None:
    """Act when so many evaluations have been begun since the start, and some seconds have gone by."""
    start = len(notes("began"))
    for count, seconds, action in moments:
        while len(notes("began")) - start < count:
            time.sleep(0.002)
        time.sleep(seconds)
        ACTIONS[action]()


def prepare(plan: dict[str, Any]) -> None:
    """Let a fault be about to fall."""
    cluster, open_pool = ClusterSettings(**plan["cluster"]), evo.storage.run.open_pool
    evo.storage.pools.InProcessPool = Threads  # type: ignore[misc, assignment]
    evo.storage.run.open_pool = lambda settings, evaluator: open_pool(
        settings.model_copy(update={"cluster": cluster}), evaluator
    )
    if not plan["tracked"]:
        evo.tracking.background.Tracker = Untracked  # type: ignore[misc, assignment]
    background = evo.tracking.background
    background.PERIOD, background.PAUSES, background.SHARE = 0.05, (0.1, 0.5), 1.0
    evo.storage.checkpoint.PERIOD = 0.0 if plan["checkpoints"] else 3600.0
    wrap(Journal, "append", None, lambda _, records: note("durable", keys=durable(records)))
    if plan["step"]:
        STEPS[plan["step"]](plan["place"])
    threading.Thread(target=watch, args=[plan["moments"]], daemon=True).start()


def become(arguments: Sequence[str], environment: dict[str, str], said: str) -> None:
    """Be a process as a shell would start one, that says what it says into a file."""
    os.setsid()
    for number, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, os.open(said, os.O_WRONLY | os.O_CREAT))):
        os.dup2(file, number)
    os.dup2(1, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which `make chaos &` would ignore
    os.environ.update(environment)
    random.seed()
    sys.argv = ["evofabric", *arguments]


def serve() -> None:
    """Become a driver as often as a line on the standard input says so, each in a process of its own.

    So that the packages, which take seconds to load, are loaded once. Written are the process, and how it ended.
    """
    atexit.register(evofabric.end_at_once)
    while line := sys.stdin.readline():
        process = os.fork()
        if not process:
            asked = json.loads(line)
            become(asked["arguments"], asked["environment"], asked["said"])
            prepare(asked["plan"])
            evofabric.main()
            return
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
