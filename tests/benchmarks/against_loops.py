"""The kernel against the loops one writes in PyTorch, and against the core's own matrix product."""

from __future__ import annotations

from functools import partial

import numpy as np
from rich.table import Table

from evaluators.reconstruction.schedule import one_cycle
from tests.benchmarks import afternoon
from tests.benchmarks.problems import (
    CANDIDATES,
    PEAK,
    SGEMM_OPERATIONS,
    STEPS,
    TARGETS,
    geometric_mean,
    kernel,
    problem,
    seconds,
    sgemm,
    table,
)

PADDED_STEPS = 20
"""Enough to time a step of the padded loop, the slowest of all."""


def loops_table() -> Table:
    """Seconds of the loops over seconds of the kernel, and the kernel's share of the core's sgemm rate.

    The errors are after one run with Adam's usual memories, the only ones the default loop has.
    """
    result = table(
        f"The afternoon loop over the kernel: {TARGETS} targets, {STEPS} steps, one core",
        "candidate",
        "loop",
        "with fused Adam",
        "padded bmm",
        "share of sgemm",
        "error: loop",
        "kernel",
    )
    schedule, usual = one_cycle(STEPS), one_cycle(STEPS, beta_1=0.9, beta_2=0.999)
    padded = _padded_seconds()
    ratios = []
    for name, topology in CANDIDATES.items():
        weights, goals = problem(topology)
        loop = partial(afternoon.train, topology, weights, goals, PEAK, schedule.rates)
        dense, ours, plain, fused = seconds(sgemm(), kernel(topology, schedule), loop, partial(loop, fused=True))
        energy = np.square(goals).sum((1, 2))
        ratios.append(plain / ours)
        result.add_row(
            name,
            f"{plain / ours:.1f}",
            f"{fused / ours:.1f}",
            f"{padded / ours:.1f}",
            f"{6 * topology.n_edges * topology.n_in * TARGETS * STEPS / ours / (SGEMM_OPERATIONS / dense):.0%}",
            f"{np.mean(loop() / energy):.4f}",
            f"{np.mean(kernel(topology, usual)() / energy):.4f}",
        )
    result.add_section()
    result.add_row("geometric mean", f"{geometric_mean(ratios):.1f}")
    return result


def _padded_seconds() -> float:
    """Seconds a candidate when all train together, padded to one shape."""
    topologies = list(CANDIDATES.values())
    starts, goals = [problem(topology)[0] for topology in topologies], problem(topologies[0])[1]
    rates = one_cycle(PADDED_STEPS).rates
    [whole] = seconds(lambda: afternoon.train_padded(topologies, starts, goals, PEAK, rates), repeats=2)
    return whole / len(topologies) * STEPS / PADDED_STEPS
