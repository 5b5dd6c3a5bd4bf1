"""Operators on the order of inputs: layers that join neurons at set distances, and orders with two parts swapped.

The order is :attr:`evo.variation.space.Space.order`, in which aligned blocks of 2, 4, 8, ... inputs are clusters of
near ones. A hidden neuron has a position in it too: that of the source of its constant edge, which carries it on, or
else the mean of its sources' positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evo.variation.bounds import Bounds
from evo.variation.edges import Indices, Masks
from evo.variation.neighbourhood import choose, cover, fans_of
from evo.variation.proposal import Operator, operator
from evo.variation.space import Space, onward
from topologies.entries import ABSENT, CONSTANT, TRAINABLE

_KNOWN = 0.5
"""The share of a layer's edges that a set of strides must explain to be taken for the layer's own."""


def strides(space: Space) -> Operator:
    """A layer is redrawn: the neuron at position t sees those at t xor s, or at t + s, for a set of strides s.

    The set is inherited: where a layer has one, one of its strides changes; else a new set is drawn.
    """

    @operator
    def propose(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
        place = int(generator.integers(len(masks)))
        mask = masks[place]
        positions = positions_of(space, masks[: place + 1])
        if place == len(masks) - 1 and mask.shape[1] == len(space):
            positions[-1] = np.argsort(space.order)
        rotates = bool(generator.random() < 0.5)
        steps = _steps(positions[-2], positions[-1], rotates)
        size = len(mask)
        wanted = max(1, round(np.count_nonzero(mask == TRAINABLE) / mask.shape[1]))
        own = _own(steps[mask == TRAINABLE], wanted)
        chosen = _varied(own, wanted, size, rotates, generator)
        rank = np.full(1 << (size - 1).bit_length(), float(size))
        rank[chosen] = np.arange(len(chosen))
        targets = np.arange(mask.shape[1])
        keys = rank[steps.T] + generator.random(steps.T.shape)
        choose(mask, targets, keys, fans_of(mask, targets))
        sources = space.levels(masks[:place])[-1]
        cover(mask, sources, onward(sources, mask))
        return masks

    return propose


def swap_blocks(space: Space) -> Operator:
    """Two equally large blocks of the order of inputs trade places: what saw the one sees the other, in order."""

    @operator
    def propose(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
        size = 1 << int(generator.integers(max(1, (len(space) - 1).bit_length())))
        blocks = len(space) // size
        if blocks < 2:
            return None
        first, second = (space.order[size * block :][:size] for block in generator.permutation(blocks)[:2])
        masks[0][np.concatenate((first, second))] = masks[0][np.concatenate((second, first))]
        return masks

    return propose


def positions_of(space: Space, masks: Masks) -> list[Indices]:
    """The position of every neuron, of each layer a permutation, inputs first."""
    found = [np.argsort(space.order)]
    for mask in masks:
        held = mask == CONSTANT
        carries = held.any(axis=0)
        edges = np.where(carries, held, mask != ABSENT)
        mean = found[-1] @ edges / np.maximum(1, edges.sum(axis=0))
        found.append(np.argsort(np.argsort(mean, kind="stable"), kind="stable"))
    return found


def _steps(before: Indices, after: Indices, rotates: bool) -> Indices:
    """By which stride a source is joined to a target, ``(sources, targets)``."""
    at = after * before.size // after.size
    if rotates:
        return np.asarray((before[:, None] - at) % before.size)
    return np.asarray(before[:, None] ^ at)


def _own(steps: Indices, most: int) -> list[int]:
    """The strides that a layer's edges have most often, none where they explain less than half of the edges."""
    values, times = np.unique(steps, return_counts=True)
    first = np.argsort(-times, kind="stable")[:most]
    return values[first].tolist() if times[first].sum() > _KNOWN * steps.size else []


def _varied(own: Sequence[int], wanted: int, size: int, rotates: bool, generator: np.random.Generator) -> list[int]:
    """A set of strides, the first few first: a layer's own with one in another's place, or a new one."""
    reach = np.exp(generator.uniform(np.log(2), np.log(max(2, size))))
    drawn = _drawn(4 * wanted + 16, reach, size, rotates, generator)
    kept = list(own)
    if kept:
        kept.pop(int(generator.integers(len(kept))))
    kept += [step for step in dict.fromkeys(drawn) if step not in kept and step not in own]
    return kept[:wanted]


def _drawn(number: int, reach: float, size: int, rotates: bool, generator: np.random.Generator) -> list[int]:
    """Strides below a reach: powers of two and their multiples by few, or any, in either direction for a rotation."""
    if generator.random() < 0.5:
        steps: NDArray[np.int64] = 1 << generator.integers(0, max(1, int(np.log2(reach)) + 1), number)
    else:
        steps = generator.integers(0, max(2, int(reach)), number)
    if rotates:
        steps = steps * generator.choice([-1, 1], number)
    return [int(step) for step in steps % size]
