"""Operators that change single edges and keep all widths."""

from __future__ import annotations

import numpy as np

from evo.variation.bounds import Bounds
from evo.variation.edges import Mask, Masks, add, count, freezable, one_per_neuron, remove, step_size
from evo.variation.proposal import operator
from topologies.entries import ABSENT, CONSTANT, TRAINABLE

_TAKEN = -1
"""Where an edge was taken away and must not come back at once."""


@operator
def rewire(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """Up to a quarter of a layer's trainable edges go elsewhere in the layer."""
    mask = _any(masks, generator)
    taken = remove(mask, _quarter(mask, generator), generator, mark=_TAKEN)
    add(mask, taken, generator)
    mask[mask == _TAKEN] = ABSENT
    return masks


@operator
def swap(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """Pairs of edges a -> b, c -> d of a layer become a -> d, c -> b, so that every fan stays as it is."""
    mask = _any(masks, generator)
    sources, targets = np.nonzero(mask)
    pairs = step_size(sources.size // 4, generator)
    chosen = generator.permutation(sources.size)[: 2 * pairs]
    half = chosen.size // 2
    first, second = chosen[:half], chosen[half : 2 * half]
    crossed = np.stack(
        (sources[first] * mask.shape[1] + targets[second], sources[second] * mask.shape[1] + targets[first])
    )
    _, which, times = np.unique(crossed, return_inverse=True, return_counts=True)
    lonely = (times[which] == 1) & (mask.ravel()[crossed] == ABSENT)
    good = lonely.all(axis=0)
    first, second = first[good], second[good]
    ends = (sources[first], targets[first]), (sources[second], targets[second])
    kinds = mask[ends[0]], mask[ends[1]]
    mask[ends[0]] = mask[ends[1]] = ABSENT
    mask[sources[second], targets[first]] = kinds[0]  # the kind stays with the target, which keeps its constants
    mask[sources[first], targets[second]] = kinds[1]
    return masks


@operator
def move(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """Up to a quarter of a layer's trainable edges go to another layer."""
    if len(masks) < 2:
        return None
    giver, taker = generator.choice(len(masks), size=2, replace=False)
    add(masks[taker], remove(masks[giver], _quarter(masks[giver], generator), generator), generator)
    return masks


@operator
def exchange(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """In some neurons of a layer a constant edge becomes trainable and a trainable one constant."""
    mask = _any(masks, generator)
    both = (mask == CONSTANT).any(axis=0) & (mask == TRAINABLE).any(axis=0)
    if not both.any():
        return None
    chosen = generator.permutation(np.flatnonzero(both))[: step_size(int(both.sum()), generator)]
    part = mask[:, chosen]
    picks = {kind: one_per_neuron(part == kind, generator) for kind in (CONSTANT, TRAINABLE)}
    part[picks[CONSTANT]], part[picks[TRAINABLE]] = TRAINABLE, CONSTANT
    mask[:, chosen] = part
    return masks


@operator
def freeze(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """Some neurons of a layer that have no constant edge get one of their own edges as one.

    The trainable edges saved are spent in the same layer: a path more for nothing (VII-A).
    """
    mask = _any(masks, generator)
    room = bounds.max_edges - bounds.budget - count(masks, CONSTANT)
    sources, targets = one_per_neuron(freezable(mask), generator)
    if min(room, targets.size) < 1:
        return None
    number = step_size(min(room, targets.size), generator)
    mask[sources[:number], targets[:number]] = CONSTANT
    add(mask, number, generator)
    return masks


@operator
def thaw(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """Some constants of a layer become trainable, and as many trainable edges of the layer go."""
    mask = _any(masks, generator)
    sources, targets = np.nonzero(mask == CONSTANT)
    if sources.size == 0:
        return None
    chosen = generator.permutation(sources.size)[: step_size(sources.size, generator)]
    mask[sources[chosen], targets[chosen]] = TRAINABLE
    remove(mask, chosen.size, generator)
    return masks


def _any(masks: Masks, generator: np.random.Generator) -> Mask:
    return masks[generator.integers(len(masks))]


def _quarter(mask: Mask, generator: np.random.Generator) -> int:
    """A number of edges from one to a quarter of the layer's trainable ones."""
    return step_size(count([mask], TRAINABLE) // 4, generator)
