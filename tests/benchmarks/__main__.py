"""`make bench`: the reconstruction kernel against the loops it replaces, on one core, in one run."""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from evaluators.reconstruction import start_of
from evaluators.reconstruction_cpu import train
from evaluators.schedule import one_cycle
from evaluators.targets import target
from evaluators.task import Stream
from tests.benchmarks import afternoon
from topologies import Topology, butterfly, clos, hypercube, low_rank, parallel_butterfly, random_regular, torus

STEPS, TARGETS, PEAK = 200, 8, 0.3
CANDIDATES: dict[str, Topology] = {
    "butterfly 18": butterfly(32, 18),
    "hypercube 6": hypercube(32, 6),
    "torus 7": torus((8, 4), 7),
    "Clos (8, 9, 8)": clos(32, 8, 9, 8),
    "parallel butterfly (2, 10)": parallel_butterfly(32, 2, 10),
    "low rank 4": low_rank(32, 32, 4),
    "random regular 4, depth 5": random_regular(32, 32, 32, 5, 4, 0),
}


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The least of a few timings."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def sgemm_rate() -> float:
    """This core's float32 matrix product, in operations a second."""
    a = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
    return 2 * 1024**3 / seconds(lambda: a @ a, 7)


def problem(topology: Topology, count: int = TARGETS) -> tuple[np.ndarray, np.ndarray]:
    """Initial weights and targets."""
    goals = [target(topology.n_in, topology.n_out, index, Stream.SEARCH, 0) for index in range(count)]
    return np.stack([start_of(topology, index, Stream.SEARCH, 0) for index in range(count)]), np.stack(goals)


def kernel_seconds(topology: Topology, steps: int) -> float:
    """Seconds of the kernel for eight targets."""
    weights, goals = problem(topology)
    return seconds(lambda: train(topology, weights, goals, np.full(TARGETS, PEAK), one_cycle(steps)))


def against_the_loops(console: Console, peak_rate: float) -> None:
    """Seconds of the loops over seconds of the kernel, and the kernel's share of the core's sgemm rate."""
    table = Table(title=f"Loops over kernel, {TARGETS} targets, {STEPS} steps, one core", title_justify="left")
    for heading in (
        "candidate",
        "afternoon",
        "with fused Adam",
        "padded bmm",
        "share of sgemm",
        "error: loop",
        "kernel",
    ):
        table.add_column(heading, justify="left" if heading == "candidate" else "right")
    rates = one_cycle(STEPS).rates
    starts = [problem(topology)[0] for topology in CANDIDATES.values()]
    goals = problem(next(iter(CANDIDATES.values())))[1]
    padded = seconds(lambda: afternoon.train_padded(list(CANDIDATES.values()), starts, goals, PEAK, rates), 1)
    ratios = []
    for name, topology in CANDIDATES.items():
        weights, goals = problem(topology)
        energy = np.square(goals).sum((1, 2))
        train(topology, weights, goals, np.full(TARGETS, PEAK), one_cycle(2))  # compiles
        ours = kernel_seconds(topology, STEPS)
        loop = seconds(lambda: afternoon.train(topology, weights, goals, PEAK, rates), 2)  # noqa: B023
        fused = seconds(lambda: afternoon.train(topology, weights, goals, PEAK, rates, True), 2)  # noqa: B023
        classic = one_cycle(STEPS, beta_1=0.9, beta_2=0.999)
        found = train(topology, weights, goals, np.full(TARGETS, PEAK), classic)[0]
        expected = afternoon.train(topology, weights, goals, PEAK, rates)
        share = 6 * topology.n_edges * topology.n_in * TARGETS * STEPS / ours / peak_rate
        ratios.append(loop / ours)
        table.add_row(
            name,
            f"{loop / ours:.1f}",
            f"{fused / ours:.1f}",
            f"{padded / len(CANDIDATES) / ours:.1f}",
            f"{share:.0%}",
            f"{np.mean(expected / energy):.4f}",
            f"{np.mean(found / energy):.4f}",
        )
    table.add_section()
    table.add_row("geometric mean", f"{np.exp(np.mean(np.log(ratios))):.1f}")
    console.print(table)


def against_size(console: Console) -> None:
    """Cost per (edge, input, step), which should not depend on the size."""
    table = Table(title="Kernel cost for random regular topologies of fan-in 4, depth 5", title_justify="left")
    for heading in ("n", "nanoseconds per (edge, input, step, target)"):
        table.add_column(heading, justify="right")
    for n in (32, 64, 128, 256, 512):
        topology = random_regular(n, n, n, 5, 4, 0)
        steps = max(3, 100 * 32**2 // n**2)
        cost = kernel_seconds(topology, steps) / (topology.n_edges * n * steps * TARGETS)
        table.add_row(str(n), f"{cost * 1e9:.3f}")
    console.print(table)


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    console = Console()
    peak_rate = sgemm_rate()
    console.print(f"sgemm on one core: {peak_rate / 1e9:.0f} Gflop/s")
    against_the_loops(console, peak_rate)
    against_size(console)


if __name__ == "__main__":
    main()
