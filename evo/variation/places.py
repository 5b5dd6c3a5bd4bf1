"""Variation of stacks: one place or several change, by the operators of single topologies, or places trade budget.

Every function is pure, and returns a stack of the layout's sizes within bounds that spends exactly the budget, or None.
Places that hold equal topologies are changed together most of the time, so that sharing, once found good, is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import lcm

import numpy as np

from evo.variation import crossover, mutate
from evo.variation.bounds import Bounds
from evo.variation.fit_stack import Unit, admits, bounds_of, fitted, shared, with_budget
from evo.variation.space import Space, behind
from evo.variation.widths import insert_between, remove_between, shift_between
from topologies.stack import Layout, Stack

StackOperator = Callable[[Stack, Layout, Bounds, np.random.Generator], Stack | None]

_APART = 0.2
"""How often places that hold equal topologies are changed one by one, so that they cease to be equal."""
_TRIES = 30


def one_place(
    stack: Stack, layout: Layout, bounds: Bounds, generator: np.random.Generator, space: Space | None = None
) -> Stack | None:
    """One place, or the places that share a topology, changes by an operator for single topologies."""
    units = _units(stack, generator)
    edges = np.array([len(unit) * stack.places[unit[0]].n_edges for unit in units], dtype=np.float64)
    unit = units[int(generator.choice(len(units), p=edges / edges.sum()))]
    return _mutated(stack, unit, bounds, generator, space)


def every_place(
    stack: Stack, layout: Layout, bounds: Bounds, generator: np.random.Generator, space: Space | None = None
) -> Stack | None:
    """Every place changes by an operator for single topologies, those that share one together."""
    child: Stack | None = stack
    for unit in _units(stack, generator):
        child = child and _mutated(child, unit, bounds, generator, space)
    return child


def move_budget(stack: Stack, layout: Layout, bounds: Bounds, generator: np.random.Generator) -> Stack | None:
    """Between 5 and 40 % of a place's trainable edges go to another place."""
    units = _units(stack, generator)
    if len(units) < 2:
        return None
    giver, taker = (units[int(one)] for one in generator.choice(len(units), size=2, replace=False))
    gives, takes = stack.places[giver[0]], stack.places[taker[0]]
    step = lcm(len(giver), len(taker))
    wanted = int(generator.uniform(0.05, 0.4) * gives.n_trainable * len(giver))
    room = (takes.n_in * takes.n_out - takes.n_trainable) * len(taker)
    number = step * max(1, min(wanted, room) // step)
    places = list(stack.places)
    for unit, budget in (
        (giver, gives.n_trainable - number // len(giver)),
        (taker, takes.n_trainable + number // len(taker)),
    ):
        one = with_budget(places[unit[0]], bounds_of(stack, unit, bounds, max(budget, 1)), generator)
        if one is None:
            return None
        for place in unit:
            places[place] = one
    return Stack(tuple(places))


def copy_place(stack: Stack, layout: Layout, bounds: Bounds, generator: np.random.Generator) -> Stack | None:
    """A place takes over the topology of another place of its size; from then on they share it."""
    pairs = [
        (one, other)
        for one, first in enumerate(stack.places)
        for other, second in enumerate(stack.places)
        if stack.sizes[one] == stack.sizes[other] and first != second
    ]
    if not pairs:
        return None
    source, target = pairs[int(generator.integers(len(pairs)))]
    places = list(stack.places)
    places[target] = places[source]
    return fitted(places, layout, bounds, generator)


_TABLE: dict[str, tuple[StackOperator, float]] = {
    "one_place": (one_place, 6.0),
    "every_place": (every_place, 1.0),
    "move_budget": (move_budget, 2.0),
    "copy_place": (copy_place, 0.5),
}
_FREE: dict[str, tuple[StackOperator, float]] = {
    "insert_between": (insert_between, 2.0),
    "remove_between": (remove_between, 1.5),
    "shift_between": (shift_between, 1.0),
}
"""Those that change hidden widths, where they are free."""

_BY_TOPOLOGY = (("one_place", one_place), ("every_place", every_place))
"""Those that change places by operators for single topologies, of which more are to be had where inputs have places."""

STACK_OPERATORS: dict[str, StackOperator] = {name: operator for name, (operator, _) in (_TABLE | _FREE).items()}
"""Every operator with one parent, in a fixed order."""


def mutate_stack(
    parent: Stack,
    layout: Layout,
    bounds: Bounds,
    generator: np.random.Generator,
    space: Space | None = None,
    success: Mapping[str, float] | None = None,
) -> tuple[str, Stack] | None:
    """A child of one parent, and the name of the operator that made it; None after 30 tries without one.

    ``space`` says where the first place's inputs are; the others' follow from the places before. Operators are tried as
    often as their weights say, times their ``success`` where it is known.
    """
    table = _TABLE | _FREE if layout.widths else _TABLE
    if space is not None:
        table = table | {name: (partial(operator, space=space), table[name][1]) for name, operator in _BY_TOPOLOGY}
    names = tuple(table)
    chances = np.array([weight * (success or {}).get(name, 1.0) for name, (_, weight) in table.items()])
    for chosen in generator.choice(len(names), size=_TRIES, p=chances / chances.sum()):
        child = table[names[chosen]][0](parent, layout, bounds, generator)
        if child is not None and child.digest != parent.digest and admits(child, layout, bounds):
            return names[chosen], child
    return None


def crossover_stack(
    first: Stack, second: Stack, layout: Layout, bounds: Bounds, generator: np.random.Generator
) -> Stack | None:
    """A child with some places of one parent and some of another, or one place crossed from both; None if it is no new.

    Where widths are free the parents may differ in size: then only places between which sizes agree are swapped.
    """
    swapped = (generator.random(len(first.places)) < 0.5).tolist()
    places = [theirs if swap else ours for ours, theirs, swap in zip(first.places, second.places, swapped, strict=True)]
    if all(swapped) or not any(swapped) or generator.random() < 0.5:
        number = int(generator.integers(len(first.places)))
        mother, father = first.places[number], second.places[number]
        if (mother.n_in, mother.n_out) != (father.n_in, father.n_out):
            return None
        child = crossover(mother, father, bounds_of(first, (number,), bounds), generator)
        if child is None:
            return None
        places = [child if place == mother else place for place in first.places]  # those that share it, too
    if not layout.admits(Stack(tuple(places)).sizes):
        return None
    found = fitted(places, layout, bounds, generator)
    return None if found is None or found.digest in (first.digest, second.digest) else found


def fill_stack(stack: Stack, layout: Layout, bounds: Bounds, generator: np.random.Generator) -> Stack | None:
    """A stack below the budget with random trainable edges added up to it, shared out as its own edges are.

    None where it has too many trainable edges already, no room for more, or is out of bounds.
    """
    if stack.n_trainable > bounds.budget or not layout.admits(stack.sizes):
        return None
    return fitted(stack.places, layout, bounds, generator)


def _mutated(
    stack: Stack, unit: Unit, bounds: Bounds, generator: np.random.Generator, space: Space | None
) -> Stack | None:
    """The stack with the topology of a unit changed by an operator for single topologies."""
    place = stack.places[unit[0]]
    here = behind(space, stack.places[: unit[0]], place.n_in)
    found = mutate(place, bounds_of(stack, unit, bounds), generator, here)
    if found is None:
        return None
    places = list(stack.places)
    for number in unit:
        places[number] = found[1]
    return Stack(tuple(places))


def _units(stack: Stack, generator: np.random.Generator) -> list[Unit]:
    """The places of a stack, those together that hold equal topologies; now and then every place by itself."""
    if generator.random() < _APART:
        return [(number,) for number in range(len(stack.places))]
    return shared(stack)
