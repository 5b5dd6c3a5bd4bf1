"""What breeding ahead costs in quality: what a search finds with so many offspring and pending generations.

A candidate of generation k is bred from what is known when generation k - p has been processed, p the most pending
generations: the larger both are, the less that is. Many small searches, 16 x 16 with 96 trainable edges, show by how
much it matters, after equally many candidates. They minimise a proxy, which is cheap, has no noise that could hide a
difference, and evolution does better on it than random search. Run with `python -m tests.benchmarks.asynchrony`;
about twenty minutes.
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
from evo.algorithm.individual import Individual, InitialMember
from evo.algorithm.nsga2 import Policy, Rules, ask, promotion_threshold
from evo.algorithm.progress import Pending, Progress, process
from evo.settings import LoopSettings
from evo.variation import fill
from evo.variation.bounds import Bounds
from tests.benchmarks.problems import table
from topologies.canonical import canonical
from topologies.expression import parse

SCORE = "synflow"
PENDING = (1, 2, 3, 4, 6)
OFFSPRING = (2, 8, 16, 32, 64)
CANDIDATES = (256, 512)
"""After the initial population; when the searches are looked at."""
SEEDS = 24
REFERENCE = (32, 1)
"""Offspring and pending generations that others are compared with: one generation after the other."""

BOUNDS = Bounds(budget=96, max_depth=6, max_width=32, max_edges=192)
INITIAL = ("butterfly(16, 3)", "butterfly(16, 4)", "random_regular(16, 16, 16, 2, 2)")

Errors = NDArray[np.float64]
"""The best score that one search has found after each of :data:`CANDIDATES`."""


def initial_population() -> tuple[InitialMember, ...]:
    """A few members of the families, filled up to the budget."""
    filled = [fill(parse(text), BOUNDS, generator(0, "founder", text)) for text in INITIAL]
    return tuple(InitialMember("family", canonical(topology)) for topology in filled if topology is not None)


def search(offspring: int, pending: int, seed: int, policy: Policy = Policy.EVOLUTION) -> Errors:
    """One search."""
    limits, population = (BOUNDS.max_edges, BOUNDS.max_depth), LoopSettings().population
    rules = Rules(policy, 16, 16, BOUNDS, offspring, population, 8, limits, initial_population(), seed)
    here, best = Progress(), []
    for candidates in CANDIDATES:
        here = advance(here, rules, pending, 1 + candidates // offspring)
        best.append(here.state.elite[0].error)
    return np.array(best)


def advance(here: Progress, rules: Rules, pending: int, generations: int) -> Progress:
    """The loop of :func:`evo.experiment.search.loop`, without journal and workers, up to so many generations."""
    while here.generations < generations:
        while here.bred < here.generations + pending:
            state, born = ask(here.state, rules, here.bred)
            sent = Pending(born, Race(promotion_threshold(state, rules, 1), 1))
            here = replace(here, state=state, pending=(*here.pending, sent))
        candidates = here.pending[0].candidates
        here = process(here, rules, [Individual(one, Score((measure(SCORE, one.topology),))) for one in candidates])
    return here


def cell(found: Errors) -> str:
    """The mean over the seeds with its 95 % confidence interval."""
    return f"{found.mean():.3f} ± {stats.t.ppf(0.975, len(found) - 1) * stats.sem(found):.3f}"


def tables(found: dict[tuple[int, int], list[Errors]], control: Sequence[Errors]) -> list[Table]:
    """The best scores, and their differences to the reference's paired over the seeds."""
    result = []
    for place, candidates in enumerate(CANDIDATES):
        at = {key: np.array(errors)[:, place] for key, errors in found.items()}
        chance, reference = np.array(control)[:, place], at[REFERENCE]
        heading = f"Best {SCORE} after {candidates} candidates, {len(control)} searches; random search {cell(chance)}"
        absolute = table(heading, "offspring", *(f"{pending} pending" for pending in PENDING))
        paired = table(
            f"... minus that of {REFERENCE[0]} offspring, {REFERENCE[1]} pending; random search "
            f"{cell(chance - reference)}",
            "offspring",
            *(f"{pending} pending" for pending in PENDING),
        )
        for size in OFFSPRING:
            absolute.add_row(str(size), *(cell(at[size, pending]) for pending in PENDING))
            paired.add_row(str(size), *(cell(at[size, pending] - reference) for pending in PENDING))
        result += [absolute, paired]
    return result


def main() -> None:
    """Search and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"searches of every kind (default {SEEDS})")
    seeds = range(1, 1 + parser.parse_args().seeds)
    cells = [(size, pending) for size in OFFSPRING for pending in PENDING]
    found = {cell: [search(*cell, seed) for seed in seeds] for cell in cells}
    control = [search(*REFERENCE, seed, Policy.RANDOM) for seed in seeds]
    for each in tables(found, control):
        Console().print(each)


if __name__ == "__main__":
    main()
