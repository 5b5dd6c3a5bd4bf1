"""Operators that change how many hidden neurons there are, and which neurons are joined to which."""

from __future__ import annotations

import numpy as np

from evo.variation.bounds import Bounds
from evo.variation.edges import Masks, add, count, remove, step_size
from evo.variation.proposal import operator
from topologies.entries import CONSTANT, TRAINABLE


@operator
def insert_neurons(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """A hidden layer gets new neurons, with edges from the others of the same layer."""
    if len(masks) < 2:
        return None
    _widen(masks, int(generator.integers(1, len(masks))), bounds, generator)
    return masks


@operator
def remove_neurons(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """A hidden layer loses neurons; the others of the same layer get their edges."""
    if len(masks) < 2:
        return None
    _narrow(masks, int(generator.integers(1, len(masks))), generator)
    return masks


@operator
def shift_width(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """A hidden layer loses neurons and another one gets some."""
    if len(masks) < 3:
        return None
    narrower, wider = (int(place) for place in 1 + generator.choice(len(masks) - 1, size=2, replace=False))
    _narrow(masks, narrower, generator)
    _widen(masks, wider, bounds, generator)
    return masks


@operator
def permute(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """Some neurons between two layers (or some inputs, or outputs) trade all their edges on one side.

    Trading the edges on both sides would only renumber them.
    """
    place = int(generator.integers(len(masks) + 1))
    side = masks[place] if place < len(masks) else masks[-1].T
    chosen = generator.permutation(side.shape[0])[: 1 + step_size(side.shape[0] - 1, generator)]
    side[chosen] = side[np.roll(chosen, 1)]
    return masks


def _widen(masks: Masks, place: int, bounds: Bounds, generator: np.random.Generator) -> None:
    """Add up to a quarter more neurons to hidden layer ``place``, with an even part of the edges on both sides.

    They get constants where the neurons beside them have some.
    """
    width = masks[place].shape[0]
    number = min(step_size(max(1, width // 4), generator), bounds.max_width - width)
    if number < 1:
        return
    with_constant = float((masks[place - 1] == CONSTANT).any(axis=0).mean())
    part = number / (width + number)
    taken = [remove(mask, max(1, int(part * count([mask], TRAINABLE))), generator) for mask in _around(masks, place)]
    masks[place - 1] = np.pad(masks[place - 1], ((0, 0), (0, number)))
    masks[place] = np.pad(masks[place], ((0, number), (0, 0)))
    add(masks[place - 1], round(with_constant * number), generator, CONSTANT)
    for mask, edges in zip(_around(masks, place), taken, strict=True):
        add(mask, edges, generator)


def _narrow(masks: Masks, place: int, generator: np.random.Generator) -> None:
    """Remove up to a quarter of hidden layer ``place``, at least one neuron where there are two."""
    width = masks[place].shape[0]
    if width == 1:
        return
    before = [count([mask], TRAINABLE) for mask in _around(masks, place)]
    stays = generator.permutation(width)[step_size(max(1, width // 4), generator) :]
    masks[place - 1], masks[place] = masks[place - 1][:, stays], masks[place][stays]
    for mask, edges in zip(_around(masks, place), before, strict=True):
        add(mask, edges - count([mask], TRAINABLE), generator)


def _around(masks: Masks, place: int) -> Masks:
    """The layers of edges before and after hidden layer ``place``."""
    return masks[place - 1 : place + 1]
