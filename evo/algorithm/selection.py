"""Who survives and who breeds: NSGA-II from DEAP, for small errors, few edges, and small values of added objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import moocore
import numpy as np
from deap import base, tools

from evo.algorithm.individual import Individual

WORST = 1e9
"""Stands for infinity, which DEAP's crowding distance could not subtract, and moocore does not always compare."""


@cache
def _fitness_class(objectives: int) -> type[base.Fitness]:
    """DEAP's fitness with so many values, all of them better when smaller."""
    return type("_Fitness", (base.Fitness,), {"weights": (-1.0,) * objectives})


@dataclass(eq=False)
class _Candidate:
    """What DEAP sees of an individual."""

    individual: Individual
    fitness: base.Fitness = field(init=False)

    def __post_init__(self) -> None:
        values = _objectives(self.individual)
        self.fitness = _fitness_class(len(values))(values)


def _objectives(individual: Individual) -> tuple[float, ...]:
    values = (individual.error, float(individual.topology.n_edges), *individual.measures)
    return tuple(min(max(value, -WORST), WORST) for value in values)


def survivors(individuals: Sequence[Individual], count: int) -> tuple[Individual, ...]:
    """The best ``count`` by non-domination, then by crowding distance: NSGA-II's replacement."""
    if not individuals:
        return ()  # which DEAP's sorting cannot take
    chosen = tools.selNSGA2([_Candidate(individual) for individual in individuals], count, nd="log")
    return tuple(candidate.individual for candidate in chosen)


def pareto_front(individuals: Sequence[Individual]) -> tuple[Individual, ...]:
    """Those that no other dominates, in order of breeding; of equals the first."""
    evaluated = sorted((one for one in individuals if np.isfinite(one.error)), key=lambda one: one.candidate.number)
    if not evaluated:
        return ()
    best = moocore.is_nondominated([_objectives(one) for one in evaluated])  # of equals the first alone
    return tuple(one for one, kept in zip(evaluated, best, strict=True) if kept)


def fittest(values: Sequence[float], count: int) -> list[int]:
    """The places of the ``count`` least values, the least first, of equals the first: DEAP's truncation."""

    @dataclass(eq=False)
    class Placed:
        place: int
        fitness: base.Fitness

    fitness = _fitness_class(1)
    placed = [Placed(place, fitness((min(value, WORST),))) for place, value in enumerate(values)]
    return [one.place for one in tools.selBest(placed, count)]


def tournament(population: Sequence[Individual], generator: np.random.Generator) -> Individual:
    """The individual with the least error of three drawn at random.

    Survival keeps the whole front; breeding leans towards its accurate end, where the champion will be.
    """
    drawn = generator.integers(len(population), size=3)
    return min((population[int(place)] for place in drawn), key=lambda one: (one.error, one.candidate.number))


def hypervolume(individuals: Sequence[Individual], reference: tuple[float, float]) -> float:
    """Area that the individuals dominate below ``reference`` (error, edges), relative to the whole."""
    points = [(one.error, one.topology.n_edges) for one in individuals if np.isfinite(one.error)]
    whole = abs(reference[0]) * reference[1]
    return float(moocore.hypervolume(points, reference)) / whole if points else 0.0
