"""What is measured, and how: the candidates, their targets and starts, and a stopwatch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from evaluators.reconstruction.cpu import train
from evaluators.reconstruction.evaluator import start_of
from evaluators.reconstruction.schedule import Schedule, one_cycle
from evaluators.reconstruction.targets import target
from evaluators.task import Split
from topologies import Topology, butterfly, clos, hypercube, low_rank, parallel_butterfly, random_regular, torus

STEPS, TARGETS, PEAK = 200, 8, 0.3
SGEMM_OPERATIONS = 2 * 1024**3
CANDIDATES: dict[str, Topology] = {
    "butterfly 18": butterfly(32, 18),
    "hypercube 6": hypercube(32, 6),
    "torus 7": torus((8, 4), 7),
    "Clos (8, 9, 8)": clos(32, 8, 9, 8),
    "parallel butterfly (2, 10)": parallel_butterfly(32, 2, 10),
    "low rank 4": low_rank(32, 32, 4),
    "random regular 4, depth 5": random_regular(32, 32, 32, 5, 4, 0),
}


def problem(topology: Topology, count: int = TARGETS) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Initial weights ``(count, n_trainable)`` and targets ``(count, n_in, n_out)``."""
    goals = [target(topology.n_in, topology.n_out, index, Split.SEARCH, 0) for index in range(count)]
    return np.stack([start_of(topology, index, Split.SEARCH, 0) for index in range(count)]), np.stack(goals)


def kernel(topology: Topology, schedule: Schedule) -> Callable[[], NDArray[np.float64]]:
    """The kernel's whole work on one candidate, compiled already; calling it returns the error of each target."""
    weights, goals = problem(topology)
    peaks = np.full(TARGETS, PEAK)
    train(topology, weights, goals, peaks, one_cycle(2))
    return lambda: train(topology, weights, goals, peaks, schedule)[0]


def seconds(*works: Callable[[], object], repeats: int = 3) -> list[float]:
    """The least of a few timings of each; they take turns, so that a disturbance meets all of them."""
    least = [np.inf] * len(works)
    for _ in range(repeats):
        for place, work in enumerate(works):
            start = time.perf_counter()
            work()
            least[place] = min(least[place], time.perf_counter() - start)
    return least


def sgemm() -> Callable[[], object]:
    """A float32 matrix product of ``SGEMM_OPERATIONS``."""
    a = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
    return lambda: a @ a


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this thread, and all threads it starts inside, on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def geometric_mean(ratios: list[float]) -> float:
    """The fair mean of ratios."""
    return float(np.exp(np.mean(np.log(ratios))))


def table(title: str, *headings: str) -> Table:
    """An empty table whose first column is text and whose others are numbers."""
    result = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    for place, heading in enumerate(headings):
        result.add_column(heading, justify="right" if place else "left", no_wrap=not place)
    return result
