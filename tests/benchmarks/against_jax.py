"""The kernel against a compiled loop of JAX (:mod:`tests.benchmarks.jax_loop`)."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from evaluators.reconstruction.schedule import one_cycle
from tests.benchmarks import afternoon, jax_loop
from tests.benchmarks.problems import (
    CANDIDATES,
    PEAK,
    STEPS,
    TARGETS,
    geometric_mean,
    kernel,
    problem,
    seconds,
    table,
)

CHECKED_STEPS = 5
"""After how many steps the answers are compared: few enough that rounding has not been amplified."""


def jax_table() -> Table:
    """Seconds of JAX's faster form over seconds of the kernel, and what its compilation takes for a new shape."""
    result = table(
        f"JAX over kernel: {TARGETS} targets, {STEPS} steps, one core, compiled before",
        "candidate",
        "JAX",
        "seconds to compile",
        f"differs after {CHECKED_STEPS} steps",
    )
    schedule, ratios = one_cycle(STEPS), []
    for name, topology in CANDIDATES.items():
        weights, goals = problem(topology)
        programs = [
            jax_loop.compiled(topology, weights, goals, PEAK, schedule, product) for product in jax_loop.PRODUCTS
        ]
        ours, *theirs = seconds(kernel(topology, schedule), *(run for run, _ in programs), repeats=7)
        best = int(np.argmin(theirs))
        ratios.append(theirs[best] / ours)
        result.add_row(
            name, f"{ratios[-1]:.1f}", f"{programs[best][1]:.1f}", f"{difference(name, jax_loop.PRODUCTS[best]):.0e}"
        )
    result.add_section()
    result.add_row("geometric mean", f"{geometric_mean(ratios):.1f}")
    return result


def difference(name: str, product: jax_loop.Product) -> float:
    """Largest relative difference of an error from the afternoon loop's, over a few steps."""
    topology = CANDIDATES[name]
    weights, goals = problem(topology)
    schedule = one_cycle(CHECKED_STEPS, beta_1=0.9, beta_2=0.999)
    run, _ = jax_loop.compiled(topology, weights, goals, PEAK, schedule, product)
    expected = afternoon.train(topology, weights, goals, PEAK, schedule.rates)
    return float(np.max(np.abs(run() / expected - 1)))
