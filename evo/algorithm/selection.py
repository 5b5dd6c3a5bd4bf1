"""Who survives and who breeds: NSGA-II from DEAP, for small errors and small values of added objectives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite

import moocore
import numpy as np
from deap import base, tools

from evo.algorithm.individual import Individual

WORST = 1e300
"""Stands for infinity, which DEAP's crowding distance could not subtract, and moocore does not always compare."""


@cache
def _fitness_class(objectives: int) -> type[base.Fitness]:
    """DEAP's fitness with so many values, all of them better when smaller."""
    return type("_Fitness", (base.Fitness,), {"weights": (-1.0,) * objectives})


@dataclass(eq=False)
class _Candidate:
    """What DEAP sees of an individual: its place among all, and its objectives."""

    place: int
    fitness: base.Fitness


def _front_values(individual: Individual) -> tuple[float, ...]:
    """What the front is drawn by: edges beside the objectives."""
    return comparable(individual.error, (float(individual.topology.n_edges), *individual.measures))


def comparable(error: float, others: Sequence[float]) -> tuple[float, ...]:
    """An error and other objectives with :data:`WORST` in the place of infinity.

    A failed evaluation, whose error is infinite, is the worst in all of them: else topologies that cannot be scored
    would survive for being good at the others.
    """
    if not isfinite(error):
        return (WORST,) * (1 + len(others))
    return tuple(min(max(value, -WORST), WORST) for value in (error, *others))


OF_ONE_DEPTH = 3
"""Of one depth is at most this part, a third, of a population (``tests/benchmarks/results.md``)."""


@dataclass(frozen=True)
class Rank:
    """What decides whether an individual survives: its objectives, :func:`comparable`, and its depth."""

    objectives: tuple[float, ...]
    depth: int


def surviving(ranks: Sequence[Rank], count: int) -> list[int]:
    """The places of the best ``count`` by non-domination, then by crowding distance: NSGA-II's replacement.

    Edges are a limit and no objective, so that all effort goes to the error and whatever else a recipe wants small. Of
    one depth there is at most a third of the population, :data:`OF_ONE_DEPTH`, while others are to be had: layers are
    cut out of topologies more easily than they are put back, and a population of one depth rarely leaves it.
    """
    if not ranks:
        return []  # which DEAP's sorting cannot take
    fitness = _fitness_class(len(ranks[0].objectives))
    candidates = [_Candidate(place, fitness(rank.objectives)) for place, rank in enumerate(ranks)]
    chosen: list[int] = []
    crowded: list[int] = []
    held: Counter[int] = Counter()
    for front in tools.sortNondominated(candidates, len(candidates)):
        tools.emo.assignCrowdingDist(front)
        for one in sorted(front, key=lambda one: -one.fitness.crowding_dist):
            depth = ranks[one.place].depth
            held[depth] += 1
            (chosen if held[depth] <= max(1, count // OF_ONE_DEPTH) else crowded).append(one.place)
    return [*chosen, *crowded][:count]


def survivors(individuals: Sequence[Individual], count: int) -> tuple[Individual, ...]:
    """The best ``count`` individuals, as :func:`surviving` chooses them."""
    ranks = [Rank(comparable(one.error, one.measures), one.topology.depth) for one in individuals]
    return tuple(individuals[place] for place in surviving(ranks, count))


def pareto_front(individuals: Sequence[Individual]) -> tuple[Individual, ...]:
    """Those that no other dominates, in order of breeding; of equals the first."""
    evaluated = sorted((one for one in individuals if isfinite(one.error)), key=lambda one: one.candidate.number)
    if not evaluated:
        return ()
    best = moocore.is_nondominated([_front_values(one) for one in evaluated])  # of equals the first alone
    return tuple(one for one, kept in zip(evaluated, best, strict=True) if kept)


def tournament(population: Sequence[Individual], generator: np.random.Generator) -> Individual:
    """The individual with the least error of three drawn at random.

    Survival keeps the whole front; breeding leans towards its accurate end, where the champion will be.
    """
    drawn = generator.integers(len(population), size=3)
    return min((population[int(place)] for place in drawn), key=lambda one: (one.error, one.candidate.number))


def hypervolume(individuals: Sequence[Individual], reference: tuple[float, float]) -> float:
    """Area that the individuals dominate below ``reference`` (error, edges), relative to the whole."""
    points = [(one.error, one.topology.n_edges) for one in individuals if isfinite(one.error)]
    whole = abs(reference[0]) * reference[1]
    return float(moocore.hypervolume(points, reference)) / whole if points else 0.0
