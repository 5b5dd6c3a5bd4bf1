"""How far the default rates are from the best of a wide grid, and what a cheaper fidelity costs in accuracy.

Run with `python -m tests.benchmarks.fidelity`; takes some minutes.
"""

from __future__ import annotations

import time

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from evaluators import Fidelity, MatrixReconstruction, Split
from evaluators.rng import generator
from evo.fidelity_settings import FidelitySettings
from evo.variation import sample
from evo.variation.bounds import Bounds
from tests.benchmarks.problems import table
from topologies.expression import parse
from topologies.topology import Topology

DEFAULT = FidelitySettings()
WIDE = (0.03, 0.07, 0.15, 0.3, 0.45, 0.6, 1.0, 1.5, 2.0, 2.4, 3.4, 4.8, 7.0)
MEMBERS = (
    "butterfly(32, 5)",
    "butterfly(32, 10)",
    "parallel_butterfly(32, 2, 5)",
    "clos(32, 8, 3, 8)",
    "random_regular(32, 32, 32, 10, 2)",
    "butterfly(32, 20)",
    "parallel_butterfly(32, 2, 10)",
    "clos(32, 8, 6, 8)",
    "hypercube(32, 4)",
    "torus((8, 4), 5)",
    "random_regular(32, 32, 48, 7, 3)",
    "low_rank(32, 32, 10)",
    "monarch(32, 8)",
    "butterfly(32, 22)",
    "clos(32, 8, 7, 8)",
)
LADDER = (
    Fidelity(2, 150, (1.0,)),
    Fidelity(4, 300, (1.0,)),
    Fidelity(4, 300, (0.45, 1.0, 2.0)),
    Fidelity(DEFAULT.targets, 600, DEFAULT.rates),
    DEFAULT.search,
    Fidelity(16, DEFAULT.steps, DEFAULT.rates),
    DEFAULT.validation,
)
FULL = Fidelity(32, 4000, (0.15, 0.3, 0.6, 1.2, 2.4, 4.8))
SAMPLES = 48


def rates_table() -> Table:
    """Error at the default rates of the search and of the validation split, and at the best rate of a wide grid."""
    headings = (f"{DEFAULT.steps} steps", "wide", f"{DEFAULT.validation_steps} steps", "wide")
    result = table("Error on 32 targets at default rates, and at the best of a wide grid", "member", *headings)
    task = MatrixReconstruction()
    for name in MEMBERS:
        cells = []
        for steps, rates in ((DEFAULT.steps, DEFAULT.rates), (DEFAULT.validation_steps, DEFAULT.validation_rates)):
            for tried in (rates, WIDE):
                score = task.evaluate(parse(name), Fidelity(32, steps, tried), Split.SEARCH, 0)
                cells.append(f"{score.error:.4f}")
        result.add_row(name, *cells)
    return result


def samples() -> list[Topology]:
    """Random structured topologies of 32 x 32 and 640 parameters."""
    bounds = Bounds(budget=640, max_depth=10, max_width=64, max_edges=1280)
    drawn = (sample(32, 32, bounds, generator(0, "ladder", index)) for index in range(SAMPLES))
    return [topology for topology in drawn if topology is not None]


def ladder_table() -> Table:
    """Mean error, and rank correlation with the full fidelity, of ever dearer fidelities."""
    task, drawn = MatrixReconstruction(), samples()
    truth = [task.evaluate(topology, FULL, Split.TEST, 0).error for topology in drawn]
    best = np.argsort(truth)[: len(truth) // 3]
    result = table(
        f"{len(drawn)} random topologies, against {FULL.targets} fresh targets of {FULL.steps} steps",
        *("targets", "steps", "rates", "ms each", "mean error", "Spearman", "of the best third"),
    )
    for fidelity in LADDER:
        start = time.perf_counter()
        errors = np.array([task.evaluate(topology, fidelity, Split.SEARCH, 0).error for topology in drawn])
        cost = (time.perf_counter() - start) / len(drawn)
        result.add_row(
            str(fidelity.targets),
            str(fidelity.steps),
            str(len(fidelity.rates)),
            f"{cost * 1e3:.0f}",
            f"{errors.mean():.4f}",
            f"{spearmanr(errors, truth).statistic:.2f}",
            f"{spearmanr(errors[best], np.array(truth)[best]).statistic:.2f}",
        )
    result.add_section()
    result.add_row(
        str(FULL.targets), str(FULL.steps), str(len(FULL.rates)), "", f"{np.mean(truth):.4f}", "1.00", "1.00"
    )
    return result


if __name__ == "__main__":
    console = Console()
    console.print(rates_table())
    console.print(ladder_table())
