"""Operators that change how many layers there are, and how the budget is shared among them."""

from __future__ import annotations

import numpy as np

from evo.variation.bounds import Bounds
from evo.variation.edges import Mask, Masks, add, count, remove
from evo.variation.proposal import operator
from topologies.entries import ABSENT, CONSTANT, TRAINABLE


@operator
def insert_layer(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """A new layer joins every neuron of some layer to a copy of it by a constant, so that at first nothing is lost.

    It gets trainable edges too, a part of what every other layer has. Where constants have no room under
    ``max_edges``, trainable edges join the copies.
    """
    place = int(generator.integers(len(masks) + 1))
    width = masks[place].shape[0] if place < len(masks) else masks[-1].shape[1]
    if len(masks) == bounds.max_depth or width > bounds.max_width:
        return None
    part = generator.uniform(0.3, 1.0) / (len(masks) + 1)
    given = sum(remove(mask, int(part * count([mask], TRAINABLE)), generator) for mask in masks)
    has_room = bounds.budget + count(masks, CONSTANT) + width <= bounds.max_edges
    new = np.zeros((width, width), dtype=np.int8)
    np.fill_diagonal(new, CONSTANT if has_room else TRAINABLE)
    add(new, given if has_room else given - width, generator)
    return [*masks[:place], new, *masks[place:]]


@operator
def remove_layer(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """One layer takes the place of two: the best-used of their paths become its edges.

    Paths of constants stay constant. The trainable edges left over are shared out among all layers.
    """
    ends = masks[0].shape[0] * masks[-1].shape[1]
    if len(masks) == 1 or (len(masks) == 2 and bounds.connected and bounds.budget < ends):
        return None  # a connected single layer is dense
    place = int(generator.integers(len(masks) - 1))
    before, after = masks[place : place + 2]
    number = int(generator.uniform(0.5, 1.0) * count([before, after], TRAINABLE))
    return [*masks[:place], _compose(before, after, number, generator), *masks[place + 2 :]]


@operator
def share(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """Between 5 and 40 % of a layer's trainable edges go to another layer."""
    if len(masks) < 2:
        return None
    giver, taker = generator.choice(len(masks), size=2, replace=False)
    number = int(generator.uniform(0.05, 0.4) * count([masks[giver]], TRAINABLE))
    add(masks[taker], remove(masks[giver], max(1, number), generator), generator)
    return masks


def _compose(before: Mask, after: Mask, number: int, generator: np.random.Generator) -> Mask:
    """One mask for two: ``number`` of the pairs they join, drawn in proportion to their numbers of paths."""
    paths = np.sign(before, dtype=np.float32) @ np.sign(after, dtype=np.float32)
    wires = (before == CONSTANT).astype(np.float32) @ (after == CONSTANT).astype(np.float32) > 0
    sources, targets = np.nonzero((paths > 0) & ~wires)
    keys = generator.random(sources.size) ** (1 / paths[sources, targets])  # weighted draw without replacement
    chosen = np.argsort(-keys)[:number]
    mask = np.where(wires, np.int8(CONSTANT), np.int8(ABSENT))
    mask[sources[chosen], targets[chosen]] = TRAINABLE
    return mask
