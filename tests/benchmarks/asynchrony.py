"""What breeding ahead costs in quality: what a search has found, by generation size and lag, after equally many candidates.

A candidate is bred from what is known when generation k - lag has been told: the larger lag and generations are, the less that is.
Many small searches, 16 x 16 with 96 trainable edges, show by how much it matters. They minimise a data-free score,
which is cheap, has no noise that could hide a difference, and evolution does better on it than random search. Run with
`python -m tests.benchmarks.asynchrony`; about twenty minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import stats

from evaluators.proxies.registry import measure
from evaluators.rng import generator
from evaluators.task import Race, Score
from evo.algorithm.individual import Founder, Individual
from evo.algorithm.nsga2 import Policy, Rules, bar, breed
from evo.algorithm.progress import Progress, Sent, told
from evo.settings import LoopSettings
from evo.variation import fill
from evo.variation.bounds import Bounds
from tests.benchmarks.problems import table
from topologies.canonical import canonical
from topologies.expression import parse

SCORE = "synflow"
LAGS = (1, 2, 3, 4, 6)
BROOD_SIZES = (8, 16, 32, 64)
BIRTHS = (256, 512)
"""After the founders; when the searches are looked at."""
SEEDS = 24
REFERENCE = (32, 1)
"""Generation size and lag that others are compared with: one generation after the other."""

BOUNDS = Bounds(budget=96, max_depth=6, max_width=32, max_edges=192)
FOUNDERS = ("butterfly(16, 3)", "butterfly(16, 4)", "random_regular(16, 16, 16, 2, 2)")

Errors = NDArray[np.float64]
"""The best score that one search has found after each of :data:`BIRTHS`."""


def founders() -> tuple[Founder, ...]:
    """A few members of the families, filled up to the budget."""
    filled = [fill(parse(text), BOUNDS, generator(0, "founder", text)) for text in FOUNDERS]
    return tuple(Founder("family", canonical(topology)) for topology in filled if topology is not None)


def search(offspring: int, lag: int, seed: int, policy: Policy = Policy.EVOLUTION) -> Errors:
    """One search."""
    limits, population = (BOUNDS.max_edges, BOUNDS.max_depth), LoopSettings().population
    rules = Rules(policy, 16, 16, BOUNDS, offspring, population, 8, limits, founders(), seed)
    here, best = Progress(), []
    for candidates in BIRTHS:
        here = advance(here, rules, lag, 1 + candidates // offspring)
        best.append(here.state.elite[0].error)
    return np.array(best)


def advance(here: Progress, rules: Rules, lag: int, generations: int) -> Progress:
    """The loop of :func:`evo.experiment.search.loop`, without journal and workers, until so many generations are told."""
    while here.told < generations:
        while here.sent < here.told + lag:
            state, groups = breed(here.state, rules, here.sent)
            sent = Sent(groups, Race(bar(state, rules), 1))
            here = replace(here, state=state, under_way=(*here.under_way, sent))
        candidates = [siblings[0] for siblings in here.under_way[0].groups]
        here = told(here, rules, [Individual(one, Score((measure(SCORE, one.topology),))) for one in candidates])
    return here


def cell(found: Errors) -> str:
    """The mean over the seeds with its 95 % confidence interval."""
    return f"{found.mean():.3f} ± {stats.t.ppf(0.975, len(found) - 1) * stats.sem(found):.3f}"


def tables(found: dict[tuple[int, int], list[Errors]], control: Sequence[Errors]) -> list[Table]:
    """The best scores, and their differences to the reference's paired over the seeds."""
    result = []
    for place, candidates in enumerate(BIRTHS):
        at = {key: np.array(errors)[:, place] for key, errors in found.items()}
        chance, reference = np.array(control)[:, place], at[REFERENCE]
        heading = f"Best {SCORE} after {candidates} candidates, {len(control)} searches; random search {cell(chance)}"
        absolute = table(heading, "generation size", *(f"lag {lag}" for lag in LAGS))
        paired = table(
            f"... minus that of generation size {REFERENCE[0]}, lag {REFERENCE[1]}; random search "
            f"{cell(chance - reference)}",
            "generation size",
            *(f"lag {lag}" for lag in LAGS),
        )
        for size in BROOD_SIZES:
            absolute.add_row(str(size), *(cell(at[size, lag]) for lag in LAGS))
            paired.add_row(str(size), *(cell(at[size, lag] - reference) for lag in LAGS))
        result += [absolute, paired]
    return result


def main() -> None:
    """Search and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"searches of every kind (default {SEEDS})")
    seeds = range(1, 1 + parser.parse_args().seeds)
    cells = [(size, lag) for size in BROOD_SIZES for lag in LAGS]
    found = {cell: [search(*cell, seed) for seed in seeds] for cell in cells}
    control = [search(*REFERENCE, seed, Policy.RANDOM) for seed in seeds]
    for each in tables(found, control):
        Console().print(each)


if __name__ == "__main__":
    main()
