"""Variation of stacks: one place or several change, by the operators of single topologies, or places trade budget.

Every function is pure, and returns a stack of the layout's sizes within bounds that spends exactly the budget, or None.
Bounds are of all places together: budget, edges and depth are sums. Places that hold equal topologies are changed
together most of the time, so that sharing, once found good, is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import lcm, prod

import numpy as np
from numpy.typing import NDArray

from evo.variation import crossover, mutate, sample
from evo.variation.bounds import Bounds
from evo.variation.edges import apportion
from evo.variation.repair import repair
from evo.variation.space import Space
from evo.variation.widths import insert_between, remove_between, shift_between
from topologies.stack import Layout, Sizes, Stack
from topologies.topology import Topology

Unit = tuple[int, ...]
"""Places that hold equal topologies and are changed together."""
StackOperator = Callable[[Stack, Layout, Bounds, np.random.Generator], Stack | None]

_APART = 0.2
"""How often places that hold equal topologies are changed one by one, so that they cease to be equal."""
_TRIES = 30


def bounds_of(stack: Stack, unit: Unit, bounds: Bounds, budget: int | None = None) -> Bounds:
    """The room of each place of a unit: what the other places leave of edges and depth, and its own budget.

    With another ``budget`` its edges follow, so that it keeps as many constants.
    """
    place = stack.places[unit[0]]
    others = [one for number, one in enumerate(stack.places) if number not in unit]
    edges = (bounds.max_edges - sum(one.n_edges for one in others)) // len(unit)
    depth = (bounds.max_depth - sum(one.depth for one in others)) // len(unit)
    if budget is None or budget == place.n_trainable:
        return replace(bounds, budget=place.n_trainable, max_edges=edges, max_depth=depth)
    return replace(bounds, budget=budget, max_edges=budget + place.n_constant, max_depth=depth)


def admits(stack: Stack, layout: Layout, bounds: Bounds) -> bool:
    """Whether a stack has the layout's sizes and is within bounds; repair has seen to it that its places are sound."""
    hidden = max((max(place.widths[1:-1], default=0) for place in stack.places), default=0)
    return (
        layout.admits(stack.sizes)
        and bounds.admits_edges(stack.n_trainable, stack.n_constant)
        and stack.depth <= bounds.max_depth
        and hidden <= bounds.max_width
    )


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
        one = _with_budget(places[unit[0]], bounds_of(stack, unit, bounds, max(budget, 1)), generator)
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


def sample_stack(
    layout: Layout, bounds: Bounds, generator: np.random.Generator, space: Space | None = None
) -> Stack | None:
    """A random stack: hidden widths where they are free, the division of the budget, then a topology for every place.

    Half of those whose places have one size share one topology. None where none was found.
    """
    sizes = _widths(layout, generator)
    shares = np.array(_dense(sizes), dtype=np.float64) ** generator.uniform(0.5, 1.0)
    if len(set(sizes)) == 1 and bounds.budget % len(sizes) == 0 and generator.random() < 0.5:
        one = _sampled(sizes[0], bounds.budget // len(sizes), bounds, len(sizes), generator, space)
        return None if one is None else Stack((one,) * len(sizes))
    shares *= np.exp(generator.normal(0.0, 0.4, len(sizes)))
    fewest = sum if bounds.connected else max
    least = np.minimum([fewest(size) for size in sizes], _dense(sizes))
    if least.sum() > bounds.budget:
        return None
    budgets = least + apportion(bounds.budget - int(least.sum()), shares, _dense(sizes) - least)
    places: list[Topology] = []
    for size, budget in zip(sizes, budgets, strict=True):
        one = _sampled(size, int(budget), bounds, len(sizes), generator, _after(space, places, size[0]))
        if one is None:
            return None
        places.append(one)
    stack = Stack(tuple(places))
    return stack if admits(stack, layout, bounds) else None


def fitted(places: Sequence[Topology], layout: Layout, bounds: Bounds, generator: np.random.Generator) -> Stack | None:
    """Places with any budgets as a stack with exactly the budget, each scaled alike; equal ones stay equal if they can.

    None where one of them cannot be brought there.
    """
    stack = Stack(tuple(places))
    if sum(place.depth for place in places) > bounds.max_depth:
        return None
    units = _shared(stack)
    budgets = _divided(stack, units, bounds.budget)
    if budgets is None:  # an odd edge that no place can take alone
        units = [(number,) for number in range(len(places))]
        budgets = _divided(stack, units, bounds.budget)
    if budgets is None:
        return None
    constants = _constants(stack, bounds)
    found = list(places)
    for unit, budget in zip(units, budgets, strict=True):
        room = replace(bounds, budget=budget, max_edges=budget + constants[unit[0]], max_depth=places[unit[0]].depth)
        one = _with_budget(places[unit[0]], room, generator)
        if one is None:
            return None
        for number in unit:
            found[number] = one
    child = Stack(tuple(found))
    return child if admits(child, layout, bounds) else None


def _mutated(
    stack: Stack, unit: Unit, bounds: Bounds, generator: np.random.Generator, space: Space | None
) -> Stack | None:
    """The stack with the topology of a unit changed by an operator for single topologies."""
    place = stack.places[unit[0]]
    here = _after(space, stack.places[: unit[0]], place.n_in)
    found = mutate(place, bounds_of(stack, unit, bounds), generator, here)
    if found is None:
        return None
    places = list(stack.places)
    for number in unit:
        places[number] = found[1]
    return Stack(tuple(places))


def _after(space: Space | None, places: Sequence[Topology], n_in: int) -> Space | None:
    """Where the inputs of a place are that stands behind others; None where they are not the outputs of a chain."""
    for topology in places:
        if space is None or len(space) != topology.n_in:
            return None
        space = space.after(topology)
    return space if space is not None and len(space) == n_in else None


def _with_budget(topology: Topology, bounds: Bounds, generator: np.random.Generator) -> Topology | None:
    return topology if bounds.admits(topology) else repair(topology.masks(), bounds, generator)


def _shared(stack: Stack) -> list[Unit]:
    """The places of a stack, those together that hold equal topologies."""
    held: dict[Topology, list[int]] = {}
    for number, place in enumerate(stack.places):
        held.setdefault(place, []).append(number)
    return [tuple(numbers) for numbers in held.values()]


def _units(stack: Stack, generator: np.random.Generator) -> list[Unit]:
    """The places of a stack, those together that hold equal topologies; now and then every place by itself."""
    if generator.random() < _APART:
        return [(number,) for number in range(len(stack.places))]
    return _shared(stack)


def _divided(stack: Stack, units: Sequence[Unit], budget: int) -> list[int] | None:
    """Trainable edges of each place of every unit, in proportion to what they have, that make exactly the budget."""
    have = [stack.places[unit[0]].n_trainable for unit in units]
    room = [prod(stack.sizes[unit[0]]) for unit in units]
    times = [len(unit) for unit in units]
    scale = budget / max(1, sum(one * number for one, number in zip(have, times, strict=True)))
    exact = [min(one * scale, most) for one, most in zip(have, room, strict=True)]
    found = [max(1, int(one)) for one in exact]
    left = budget - sum(one * number for one, number in zip(found, times, strict=True))
    while left > 0:
        takers = [place for place in range(len(units)) if times[place] <= left and found[place] < room[place]]
        if not takers:
            return None
        first = max(takers, key=lambda place: (exact[place] - found[place], -place))
        more = max(1, min(int(exact[first] - found[first]), left // times[first]))
        found[first] += more
        left -= more * times[first]
    return found if left == 0 else None


def _constants(stack: Stack, bounds: Bounds) -> list[int]:
    """Constant edges that each place may have: its own, and an even part of what is left; or fewer where all have too
    many.
    """
    have = [place.n_constant for place in stack.places]
    room, total = bounds.max_edges - bounds.budget, sum(have)
    if total > room:
        return [one * room // total for one in have]
    return [one + (room - total) // len(have) for one in have]


def _widths(layout: Layout, generator: np.random.Generator) -> Sizes:
    """The layout's sizes, or where widths are free log-uniform ones."""
    if not layout.widths:
        return layout.sizes
    drawn = [int(np.exp(generator.uniform(np.log(least), np.log(most + 1)))) for least, most in layout.widths]
    return layout.of_widths(drawn)


def _dense(sizes: Sizes) -> NDArray[np.int64]:
    return np.array([n_in * n_out for n_in, n_out in sizes])


def _sampled(
    size: tuple[int, int],
    budget: int,
    bounds: Bounds,
    places: int,
    generator: np.random.Generator,
    space: Space | None,
) -> Topology | None:
    """A topology for one place, with its part of the edges, and of the depth at most."""
    edges = max(budget, bounds.max_edges * budget // bounds.budget)
    room = replace(bounds, budget=budget, max_edges=edges, max_depth=max(1, bounds.max_depth // places))
    return sample(*size, room, generator, space)
