"""How rules are bred: from differences between the rules that survive, so that steps shrink as they grow alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluators.rng import generator
from topologies.families.rule import BOUNDS, Rule, Wiring

START = Rule(
    depth=6.816,
    depth_density=0.742,
    depth_thin=0.785,
    depth_size=0.271,
    width=-1.4,
    width_density=3.167,
    width_thin=0.045,
    width_size=0.331,
    bulge=-1.196,
    bulge_density=1.832,
    bulge_thin=0.686,
    bulge_size=0.022,
    slope=0.809,
    lean=0.085,
    ends=0.449,
    ends_density=1.579,
    constants=2.0,
    constants_density=0.0,
    constants_thin=0.0,
    constants_lean=-0.5,
    constants_first=0.0,
)
"""A guess, of which the first rules are variants: what a search found in which every neuron had one constant edge, and
two instead in all layers but the first.
"""

_LOW, _HIGH = np.array(list(BOUNDS.values())).T
_SPREAD = (_HIGH - _LOW) / 16  # standard deviation of the variants of the guess
_NOISE = 0.005  # standard deviation of what is added to every step, of a number's range
_CROSSOVER, _REWIRED = 0.3, 0.05  # shares of offspring that take half of another rule's numbers, or another wiring


@dataclass(frozen=True)
class Bred:
    """A rule and how it came to be; ``parents`` are numbers of rules."""

    number: int
    generation: int
    rule: Rule
    parents: tuple[int, ...] = ()
    operator: str = "guess"


@dataclass(frozen=True)
class Ranked:
    """A rule that was tried: its log odds ratios case by case, and their mean, infinite where it was stopped early."""

    bred: Bred
    ratios: tuple[float, ...]
    fitness: float


def breed(population: Sequence[Ranked], generation: int, first: int, count: int, seed: int) -> list[Bred]:
    """So many rules, numbered from ``first``; of a population, which is sorted, or where there is none of the guess."""
    return [_one(population, generation, number, seed) for number in range(first, first + count)]


def _one(population: Sequence[Ranked], generation: int, number: int, seed: int) -> Bred:
    draw = generator(seed, "rule", number)
    if len(population) < 4:
        start = np.array(START.numbers) + (number > 0) * _SPREAD * draw.normal(size=_LOW.size)
        return Bred(number, generation, Rule.of(start, _wiring(draw, START.wiring, 4 * _REWIRED)))
    parent = population[int(draw.integers(len(population), size=2).min())].bred
    one, other, mate = (population[int(place)].bred for place in draw.integers(len(population), size=3))
    step = draw.choice([0.5, 0.8, 1.0]) * (np.array(one.rule.numbers) - np.array(other.rule.numbers))
    step += _NOISE * (_HIGH - _LOW) * draw.normal(size=step.size)
    numbers = np.array(parent.rule.numbers) + np.where(draw.random(step.size) < 0.7, step, 0.0)
    wiring = _wiring(draw, parent.rule.wiring, _REWIRED)
    parents: tuple[int, ...] = (parent.number,)
    operator = "difference"
    if draw.random() < _CROSSOVER:
        numbers = np.where(draw.random(step.size) < 0.5, numbers, np.array(mate.rule.numbers))
        parents, operator = (parent.number, mate.number), "difference and crossover"
    return Bred(number, generation, Rule.of(numbers, wiring), parents, operator)


def _wiring(draw: np.random.Generator, usual: Wiring, share: float) -> Wiring:
    """The usual wiring, or for a share any."""
    return list(Wiring)[int(draw.integers(len(Wiring)))] if draw.random() < share else usual
