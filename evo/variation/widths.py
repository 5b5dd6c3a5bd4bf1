"""Operators that change how many hidden neurons there are between two places, at the same budget of every place.

The outputs of a place are the inputs of the next; those of the last go to the model's head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from evo.variation.bounds import Bounds
from evo.variation.edges import Mask, Masks, step_size
from evo.variation.repair import repair
from topologies.entries import ABSENT
from topologies.stack import Layout, Stack
from topologies.topology import Topology

_PERTURBED = 0.5
"""The part of a copied neuron's sources that move elsewhere: one that sees the same as another is of little use."""


def insert_between(stack: Stack, layout: Layout, bounds: Bounds, generator: np.random.Generator) -> Stack | None:
    """Hidden neurons are added behind a place: each copies one that is there, with half of its sources moved."""
    place = int(generator.integers(len(stack.places)))
    return _repaired(stack, _inserted(stack, layout, place, generator), bounds, generator)


def remove_between(stack: Stack, layout: Layout, bounds: Bounds, generator: np.random.Generator) -> Stack | None:
    """Hidden neurons behind a place are removed; the others get their edges."""
    place = int(generator.integers(len(stack.places)))
    return _repaired(stack, _removed(stack, layout, place, generator), bounds, generator)


def shift_between(stack: Stack, layout: Layout, bounds: Bounds, generator: np.random.Generator) -> Stack | None:
    """Hidden neurons are removed behind one place and added behind another."""
    if len(stack.places) < 2:
        return None
    narrower, wider = (int(place) for place in generator.choice(len(stack.places), size=2, replace=False))
    child = _repaired(stack, _removed(stack, layout, narrower, generator), bounds, generator)
    return child and _repaired(child, _inserted(child, layout, wider, generator), bounds, generator)


def _inserted(stack: Stack, layout: Layout, place: int, generator: np.random.Generator) -> dict[int, Masks]:
    """New masks of the places on either side, none where there is no room for a neuron."""
    width = stack.places[place].n_out
    number = min(step_size(max(1, width // 2), generator), layout.widths[place][1] - width)
    if number < 1:
        return {}
    copied = generator.integers(width, size=number)
    before = stack.places[place].masks()
    new = before[-1][:, copied]
    for column in range(number):
        _perturb(new[:, column], generator)
    before[-1] = np.concatenate((before[-1], new), axis=1)
    found = {place: before}
    if place + 1 < len(stack.places):
        after = stack.places[place + 1].masks()
        after[0] = np.concatenate((after[0], after[0][copied]), axis=0)
        found[place + 1] = after
    return found


def _removed(stack: Stack, layout: Layout, place: int, generator: np.random.Generator) -> dict[int, Masks]:
    """New masks of the places on either side, none where they are as narrow as they may be."""
    width = stack.places[place].n_out
    number = min(step_size(max(1, width // 2), generator), width - layout.widths[place][0])
    if number < 1:
        return {}
    stays = np.sort(generator.permutation(width)[number:])
    before = stack.places[place].masks()
    before[-1] = before[-1][:, stays]
    found = {place: before}
    if place + 1 < len(stack.places):
        after = stack.places[place + 1].masks()
        after[0] = after[0][stays]
        found[place + 1] = after
    return found


def _repaired(
    stack: Stack, changed: Mapping[int, Masks], bounds: Bounds, generator: np.random.Generator
) -> Stack | None:
    """The stack with new masks at some places, each brought back to the budget and the edges that the place had."""
    if not changed:
        return None
    places = list(stack.places)
    for number, masks in changed.items():
        one = _like(places[number], masks, bounds, generator)
        if one is None:
            return None
        places[number] = one
    return Stack(tuple(places))


def _like(topology: Topology, masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Topology | None:
    room = replace(bounds, budget=topology.n_trainable, max_edges=topology.n_edges, max_depth=topology.depth)
    return repair(masks, room, generator)


def _perturb(column: Mask, generator: np.random.Generator) -> None:
    """Move half of a neuron's edges to other sources, their kinds with them."""
    sources, free = np.flatnonzero(column), np.flatnonzero(column == ABSENT)
    moved = generator.permutation(sources)[: min(round(_PERTURBED * sources.size), free.size)]
    kinds = column[moved]
    column[moved] = ABSENT
    column[generator.permutation(free)[: moved.size]] = kinds
