"""Evaluators for workers: in a module of their own, because a worker imports what it is given."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from evaluators.task import Fidelity, Score, Split, Task
from topologies import butterfly

FINE, RAISES, NOT_A_NUMBER, NOT_A_SCORE, SLOW, DIES_ONCE, HANGS_ONCE, DIES, HANGS, EXHAUSTS = range(1, 11)
"""What a task's seed tells the evaluator to do; 0 is the canary's."""

SECONDS = 0.2
"""What a slow task takes."""


@dataclass(frozen=True)
class Faulty:
    """Does what a task's seed says, and writes down in ``folder`` which process began what."""

    folder: Path
    home: int = field(default_factory=os.getpid)

    def evaluate(self, topology: object, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """A score that depends on the seed alone, where there is one."""
        if seed == 0:
            lies = (self.folder / "lie").exists() and os.getpid() != self.home
            return Score((0.25 if lies else 0.5,))
        again = bool(self.began(seed))
        with (self.folder / str(seed)).open("a") as log:
            log.write(f"{os.getpid()}\n")
        if seed == RAISES:
            raise ArithmeticError("too sparse\nfor me")
        if seed == NOT_A_NUMBER:
            return Score((float("nan"), 1.0))
        if seed == NOT_A_SCORE:
            return 0.5  # type: ignore[return-value]
        if seed == SLOW:
            time.sleep(SECONDS)
        if seed == DIES or (seed == DIES_ONCE and not again):
            os._exit(1)
        if seed == EXHAUSTS:
            raise MemoryError("a petabyte is asked for")
        if seed == HANGS or (seed == HANGS_ONCE and not again):
            time.sleep(3600)
        return Score((1 / seed, 0.5), 0.1)

    def began(self, seed: int) -> list[int]:
        """The processes that began a task with this seed."""
        log = self.folder / str(seed)
        return [int(line) for line in log.read_text().split()] if log.exists() else []

    def liars(self) -> None:
        """Let the canaries of workers that start from now on have other bits."""
        (self.folder / "lie").touch()


class Threads:
    """Scores how many threads a worker's libraries may use."""

    def evaluate(self, topology: object, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """Threads of numba and of OpenMP; nothing for the canary, as the driver is under no limit."""
        if seed == 0:
            return Score((0.0,))
        import numba

        return Score((numba.get_num_threads(), int(os.environ["OMP_NUM_THREADS"])))


def tasks(*seeds: int) -> list[Task]:
    """One task a seed, numbered from 0."""
    topology, fidelity = butterfly(4, 3), Fidelity(targets=2, steps=5, rates=(0.1,))
    return [
        Task(number=number, topology=topology, fidelity=fidelity, split=Split.SEARCH, seed=seed)
        for number, seed in enumerate(seeds)
    ]
