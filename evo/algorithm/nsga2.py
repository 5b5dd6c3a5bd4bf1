"""NSGA-II as a pure state machine: ``ask`` breeds numbered candidates, ``tell`` learns their scores.

Nothing here waits, writes or looks at a clock. What a generation is depends on the seed and on the scores told before
it was bred, never on workers, timing, or how many generations there will be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from evaluators.rng import generator
from evo.algorithm.credit import Credits, credited, success
from evo.algorithm.individual import INITIAL, SAMPLED, Candidate, Individual, InitialMember
from evo.algorithm.inheritance import Grid, Inherited, inherited
from evo.algorithm.level import harder_by, on_one_level
from evo.algorithm.selection import pareto_front, survivors, tournament
from evo.variation.bounds import Bounds
from evo.variation.breed import crossed, mutated, sampled
from evo.variation.space import Space
from topologies.stack import AnyTopology, Layout

ATTEMPTS = 24
"""Attempts to breed one topology that the search has not seen."""
CROSSOVER_SHARE = 0.2
"""Share with two parents of the offspring that have any."""
EARLY_SAMPLES, LATER_SAMPLES, EARLY = 0.8, 0.05, 160
"""Shares of offspring without parents at first and in the end, and after how many 1/e of the difference is left.

Without many samples at first, some searches never leave the neighbourhood of the hand-derived families they begin with
(``tests/benchmarks/results.md``).
"""


class Policy(StrEnum):
    """How a search breeds."""

    EVOLUTION = "evolution"
    """From the individuals that survive."""
    RANDOM = "random search"
    """Every candidate is sampled afresh: the control for evolution."""


@dataclass(frozen=True)
class Rules:
    """What stays the same during a search.

    Parameters
    ----------
    policy, n_in, n_out, bounds, seed:
        How candidates are bred, of which size, within which bounds, and from which seed.
    offspring:
        Candidates of a generation.
    population:
        Individuals that survive a generation.
    elite:
        The most accurate individuals that are kept besides, as finalists.
    limits:
        Most edges and greatest depth of a champion: the baseline's.
    initial_population:
        Generation 0.
    layout:
        Of a model with several places: candidates are stacks then.
    space:
        Where inputs are, if that is known.
    grid:
        Where offspring inherit one learning rate and weight decay: all that there are.
    """

    policy: Policy
    n_in: int
    n_out: int
    bounds: Bounds
    offspring: int
    population: int
    elite: int
    limits: tuple[int, int]
    initial_population: tuple[InitialMember, ...]
    seed: int
    layout: Layout | None = None
    space: Space | None = None
    grid: Grid | None = None


@dataclass(frozen=True)
class State:
    """What a search knows: digests of all topologies bred, the population, the Pareto front, the elite, and how well
    operators have done.

    ``elite`` are the most accurate individuals within the champion's limits, best first.
    """

    bred: frozenset[str] = frozenset()
    population: tuple[Individual, ...] = ()
    front: tuple[Individual, ...] = ()
    elite: tuple[Individual, ...] = ()
    credits: Credits = ()


def ask(state: State, rules: Rules, generation: int) -> tuple[State, tuple[Candidate, ...]]:
    """Breed a generation; returns the state that has bred it, and its candidates.

    Generation 0 is the initial population, or for random search a sample of as many. A generation holds no topology
    that was bred before; it is smaller than asked where no new one was found.
    """
    initial = rules.initial_population
    if generation == 0 and rules.policy is Policy.EVOLUTION:
        first = [
            Candidate(number, 0, member.topology, (), INITIAL, member.family) for number, member in enumerate(initial)
        ]
        return _with_bred(state, first), tuple(first)
    size = rules.offspring if generation else len(initial)
    start = len(initial) + rules.offspring * (generation - 1) if generation else 0
    bred = set(state.bred)
    candidates = [_born(state, rules, generation, number, bred) for number in range(start, start + size)]
    found = tuple(one for one in candidates if one is not None)
    return _with_bred(state, found), found


def tell(state: State, rules: Rules, generation: Sequence[Individual]) -> State:
    """The state after learning the scores of a generation, given in the order of breeding."""
    everyone = on_one_level((*state.population, *generation))
    told = everyone[len(state.population) :]
    most = max((len(one.errors) for one in (*state.elite, *told)), default=0)
    accurate = [
        one
        for one in (*state.elite, *told)
        if np.isfinite(one.error) and len(one.errors) == most and within(one.topology, rules.limits)
    ]
    population = survivors(everyone, rules.population)
    return replace(
        state,
        population=population,
        front=pareto_front((*state.front, *told)),
        elite=tuple(sorted(accurate, key=lambda one: (one.error, one.candidate.number))[: rules.elite]),
        credits=credited(state.credits, told, population),
    )


def promotion_threshold(state: State, rules: Rules, targets: int) -> float | None:
    """The error on the first ``targets`` below which a candidate bred from this state would join the elite; None while
    the elite has room.
    """
    if len(state.elite) < rules.elite:
        return None
    return state.elite[-1].error - harder_by([one.errors for one in state.elite], targets)


def within(topology: AnyTopology, limits: tuple[int, int]) -> bool:
    """Whether a topology has at most the edges and depth of ``limits``."""
    return topology.n_edges <= limits[0] and topology.depth <= limits[1]


def _with_bred(state: State, candidates: Sequence[Candidate]) -> State:
    return replace(state, bred=state.bred | {one.topology.digest for one in candidates})


def _born(state: State, rules: Rules, generation: int, number: int, bred: set[str]) -> Candidate | None:
    """A candidate that is not in ``bred``, which learns of it; None where many attempts found none."""
    key = generator(rules.seed, "birth", rules.policy.value, number)
    for _ in range(ATTEMPTS):
        found = _attempt(state, rules, key, sample_share(number - len(rules.initial_population)))
        if found is not None and found.topology.digest not in bred:
            bred.add(found.topology.digest)
            numbers = tuple(one.candidate.number for one in found.parents)
            digests = tuple(one.topology.digest for one in found.parents)
            family = found.parents[0].candidate.family if found.parents else SAMPLED
            at = _inherited(state, rules, found.parents, number)
            return Candidate(number, generation, found.topology, numbers, found.operator, family, digests, at)
    return None


def _inherited(state: State, rules: Rules, parents: Sequence[Individual], number: int) -> Inherited | None:
    """The learning rate and weight decay that a candidate is trained at, None for all of the grid.

    A sample has no parent and takes after one of the population, in random search as in evolution: so a candidate of
    either costs as much.
    """
    if rules.grid is None or not state.population:
        return None
    key = generator(rules.seed, "learning rate", rules.policy.value, number)
    parent = parents[0] if parents else tournament(state.population, key)
    return inherited(parent.score, rules.grid, key)


class _Offspring(NamedTuple):
    """A topology in canonical form, and how it was made."""

    operator: str
    parents: tuple[Individual, ...]
    topology: AnyTopology


def sample_share(born: int) -> float:
    """The share of samples among offspring of which so many were born before."""
    return LATER_SAMPLES + (EARLY_SAMPLES - LATER_SAMPLES) * math.exp(-max(born, 0) / EARLY)


def _attempt(state: State, rules: Rules, key: np.random.Generator, samples: float) -> _Offspring | None:
    """One attempt at a new topology, None where it failed; ``samples`` is the share of those without parents."""
    way = key.random()
    parents: tuple[Individual, ...] = ()
    topology: AnyTopology | None
    if rules.policy is Policy.RANDOM or not state.population or way < samples:
        size, layout = (rules.n_in, rules.n_out), rules.layout
        operator, topology = SAMPLED, sampled(size, layout, rules.bounds, key, rules.space)
    elif way < samples + (1 - samples) * CROSSOVER_SHARE:
        parents = (tournament(state.population, key), tournament(state.population, key))
        both = [parent.topology for parent in parents]
        operator, topology = "crossover", crossed(both, rules.layout, rules.bounds, key)
    else:
        parents = (tournament(state.population, key),)
        parent = parents[0].topology
        known = success(state.credits)
        found = mutated(parent, rules.layout, rules.bounds, key, rules.space, known)
        operator, topology = found or ("nothing", None)
    return None if topology is None else _Offspring(operator, parents, topology.canonical)
