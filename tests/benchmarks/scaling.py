"""How the kernel's speed changes with the size of the topology and with the number of cores."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

from rich.table import Table

from evaluators import Fidelity, MatrixReconstruction, Split
from evaluators.reconstruction.schedule import one_cycle
from tests.benchmarks.problems import CANDIDATES, TARGETS, kernel, seconds, table
from topologies import random_regular

SIZES = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
JOBS, FIDELITY = 16, Fidelity(8, 1200, (0.45, 1.0))


def size_table() -> Table:
    """Cost per (edge, input, step, target), which should not depend on the size.

    Blocks have eight inputs: below that size some of each is padding.
    """
    result = table(
        "Kernel cost: random regular, fan-in 4, depth 5, one core", "n", "ns per (edge, input, step, target)"
    )
    for n in SIZES:
        topology = random_regular(n, n, n, 5, min(4, n), 0)
        steps = min(2000, max(3, 100 * 32**2 // n**2))
        [whole] = seconds(kernel(topology, one_cycle(steps)))
        result.add_row(str(n), f"{whole / (topology.n_edges * n * steps * TARGETS) * 1e9:.3f}")
    return result


def cores_table() -> Table:
    """Candidates scored a second by several workers over those by one, for 1, 2, 4 ... workers up to all cores."""
    result = table("Throughput over one worker's", "workers", "processes", "threads")
    single = None
    for power in range(len(os.sched_getaffinity(0)).bit_length()):
        workers = 2**power
        rates = [1 / by_processes(workers), 1 / by_threads(workers)]
        single = single or rates
        result.add_row(str(workers), *(f"{rate / one:.2f}" for rate, one in zip(rates, single, strict=True)))
    return result


def by_processes(workers: int) -> float:
    """Seconds of all jobs on a pool of processes, as the search has it."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(workers)
    with ProcessPoolExecutor(workers, context, warm, (ready,)) as pool:
        return all_jobs(pool, workers)


def by_threads(workers: int) -> float:
    """Seconds of all jobs on threads of this process."""
    with ThreadPoolExecutor(workers, initializer=warm, initargs=(threading.Barrier(workers),)) as pool:
        return all_jobs(pool, workers)


def warm(ready: threading.Barrier) -> None:
    """Load the compiled kernel, and wait until all workers have."""
    MatrixReconstruction().evaluate(CANDIDATES["butterfly 18"], Fidelity(1, 1, (1.0,)), Split.SEARCH, 0)
    ready.wait()


def job(seed: int) -> None:
    """Score one candidate."""
    MatrixReconstruction().evaluate(CANDIDATES["butterfly 18"], FIDELITY, Split.SEARCH, seed)


def all_jobs(pool: Executor, workers: int) -> float:
    """Seconds of all jobs, once all workers are there."""
    list(pool.map(job, range(workers)))
    return seconds(lambda: list(pool.map(job, range(JOBS))), repeats=2)[0]
