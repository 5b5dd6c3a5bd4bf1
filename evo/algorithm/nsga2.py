"""The search as a pure state machine: ``breed`` makes numbered births, ``tell`` learns their scores.

Nothing here waits, writes or looks at a clock. What a brood is depends on the seed and on the scores told before it
was bred, never on workers, timing, or how many broods there will be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from evaluators.rng import generator
from evo.algorithm.individual import Birth, Founder, Individual, Litter
from evo.algorithm.selection import front, survivors, tournament
from evo.variation import crossover, sample, vary
from evo.variation.bounds import Bounds
from topologies.topology import Topology

TRIES = 24
"""Attempts to breed one topology that the search has not seen."""
CROSSOVER_SHARE = 0.2
SAMPLE_SHARE = 0.05
"""Shares of births from two parents, and from none; the others have one parent."""


SAMPLED = "sample"
"""The operator and the founder family of births that have no parent."""


class Policy(StrEnum):
    """What a search does with what it is told."""

    EVOLUTION = "evolution"
    RANDOM = "random search"
    """Nothing: every birth is sampled afresh. The control for evolution."""


@dataclass(frozen=True)
class Rules:
    """What stays the same during a search."""

    policy: Policy
    n_in: int
    n_out: int
    bounds: Bounds
    brood_size: int
    population: int
    leaders: int
    limits: tuple[int, int]
    """Most edges and depth of a champion: the baseline's."""
    founders: tuple[Founder, ...]
    seed: int
    siblings: int = 1
    """Topologies bred for one birth, of which the screen lets one live."""


@dataclass(frozen=True)
class State:
    """What the search knows. ``leaders`` are the most accurate within the champion's limits, best first."""

    bred: frozenset[str] = frozenset()
    population: tuple[Individual, ...] = ()
    archive: tuple[Individual, ...] = ()
    leaders: tuple[Individual, ...] = ()


def breed(state: State, rules: Rules, brood: int) -> tuple[State, tuple[Litter, ...]]:
    """Brood number ``brood`` and the state that has bred it. Brood 0 is the founders, or a sample of as many.

    A brood holds no topology that was bred before; it is smaller than asked where no new one was found.
    """
    if brood == 0 and rules.policy is Policy.EVOLUTION:
        first = [
            (Birth(number, 0, founder.topology, (), "founder", founder.family),)
            for number, founder in enumerate(rules.founders)
        ]
        return _with_bred(state, first), tuple(first)
    size = rules.brood_size if brood else len(rules.founders)
    start = len(rules.founders) + rules.brood_size * (brood - 1) if brood else 0
    bred = set(state.bred)
    litters = []
    for number in range(start, start + size):
        litter = _bear(state, rules, brood, number, bred)
        if litter:
            litters.append(litter)
    return _with_bred(state, litters), tuple(litters)


def tell(state: State, rules: Rules, brood: Sequence[Individual]) -> State:
    """The state after learning the scores of a brood, given in the order of birth."""
    leaders = [one for one in (*state.leaders, *brood) if np.isfinite(one.error) and within(one.topology, rules.limits)]
    return replace(
        state,
        population=survivors((*state.population, *brood), rules.population),
        archive=front((*state.archive, *brood)),
        leaders=tuple(sorted(leaders, key=lambda one: (one.error, one.birth.number))[: rules.leaders]),
    )


def bar(state: State, rules: Rules) -> float:
    """The error below which a candidate bred from this state may become a leader, and is worth a closer look."""
    return state.leaders[-1].error if len(state.leaders) == rules.leaders else float("inf")


def within(topology: Topology, limits: tuple[int, int]) -> bool:
    """Whether a topology has at most the edges and depth of ``limits``."""
    return topology.n_edges <= limits[0] and topology.depth <= limits[1]


def _with_bred(state: State, litters: Sequence[Litter]) -> State:
    return replace(state, bred=state.bred | {birth.topology.digest for litter in litters for birth in litter})


def _bear(state: State, rules: Rules, brood: int, number: int, bred: set[str]) -> Litter:
    """Siblings that are not in ``bred``, which learns of them; fewer than asked when many attempts found no more."""
    key = generator(rules.seed, "birth", rules.policy.value, number)
    litter: list[Birth] = []
    for _ in range(TRIES * rules.siblings):
        conceived = _conceive(state, rules, key)
        if conceived is not None and conceived.topology.digest not in bred:
            bred.add(conceived.topology.digest)
            numbers = tuple(one.birth.number for one in conceived.parents)
            digests = tuple(one.topology.digest for one in conceived.parents)
            family = conceived.parents[0].birth.family if conceived.parents else SAMPLED
            litter.append(Birth(number, brood, conceived.topology, numbers, conceived.operator, family, digests))
            if len(litter) == rules.siblings:
                break
    return tuple(litter)


class _Conceived(NamedTuple):
    """A topology in canonical form, and how it was made."""

    operator: str
    parents: tuple[Individual, ...]
    topology: Topology


def _conceive(state: State, rules: Rules, key: np.random.Generator) -> _Conceived | None:
    """One attempt at a new topology, None where it failed."""
    way = key.random()
    parents: tuple[Individual, ...] = ()
    if rules.policy is Policy.RANDOM or not state.population or way < SAMPLE_SHARE:
        operator, topology = SAMPLED, sample(rules.n_in, rules.n_out, rules.bounds, key)
    elif way < SAMPLE_SHARE + CROSSOVER_SHARE:
        parents = (tournament(state.population, key), tournament(state.population, key))
        mother, father = (parent.topology for parent in parents)
        operator, topology = "crossover", crossover(mother, father, rules.bounds, key)
    else:
        parents = (tournament(state.population, key),)
        operator, topology = vary(parents[0].topology, rules.bounds, key) or ("nothing", None)
    return None if topology is None else _Conceived(operator, parents, topology.canonical)
