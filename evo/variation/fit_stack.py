"""Stacks within bounds that are of all places together, each place within what the others leave.

Budget, edges and depth are sums over the places. Places that hold equal topologies stay equal where they can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from evo.variation.bounds import Bounds
from evo.variation.repair import repair
from topologies.stack import Layout, Stack
from topologies.topology import Topology

Unit = tuple[int, ...]
"""Places that hold equal topologies and are changed together."""


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


def fitted(places: Sequence[Topology], layout: Layout, bounds: Bounds, generator: np.random.Generator) -> Stack | None:
    """Places with any budgets as a stack with exactly the budget, each scaled alike; equal ones stay equal if they can.

    None where one of them cannot be brought there.
    """
    stack = Stack(tuple(places))
    if sum(place.depth for place in places) > bounds.max_depth:
        return None
    units = shared(stack)
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
        one = with_budget(places[unit[0]], room, generator)
        if one is None:
            return None
        for number in unit:
            found[number] = one
    child = Stack(tuple(found))
    return child if admits(child, layout, bounds) else None


def with_budget(topology: Topology, bounds: Bounds, generator: np.random.Generator) -> Topology | None:
    """A topology within bounds: as it is, or repaired; None where it cannot be."""
    return topology if bounds.admits(topology) else repair(topology.masks(), bounds, generator)


def shared(stack: Stack) -> list[Unit]:
    """The places of a stack, those together that hold equal topologies."""
    held: dict[Topology, list[int]] = {}
    for number, place in enumerate(stack.places):
        held.setdefault(place, []).append(number)
    return [tuple(numbers) for numbers in held.values()]


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
