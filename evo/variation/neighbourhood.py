"""Wiring by nearness: which sources a neuron should have, given where it is.

Everything here works in place on masks, as :mod:`evo.variation.edges` does, and chooses for some neurons of a layer
(targets) the sources with the least keys. Keys are arrays ``(targets, sources)`` made of ranks: the nearest source of a
place has rank 0, and those that are equally near rank by chance, so that where nothing is known everything is chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evo.variation.edges import Indices, Mask, apportion
from evo.variation.space import EXACT, Profiles, onward
from topologies.entries import ABSENT, CONSTANT, TRAINABLE

Keys = NDArray[np.float64]


def ranks(sources: Profiles, places: Profiles, generator: np.random.Generator) -> Keys:
    """How near every source is to each place, from 0, shape ``(places, sources)``."""
    return ranked(generator.random((len(places), len(sources))) - (places @ sources.T) * EXACT)


def ranked(keys: Keys) -> Keys:
    """The ranks of keys within their rows, from 0."""
    order = np.argsort(keys, axis=1)
    found = np.empty(order.shape)
    np.put_along_axis(found, order, np.arange(order.shape[1], dtype=np.float64)[None], axis=1)
    return found


def places_of(mask: Mask, sources: Profiles, targets: Indices, generator: np.random.Generator) -> Profiles:
    """Where targets are: at one of their own sources, which is more exact than the mean of all.

    That is the source of a constant edge, which carries a neuron on, else the one in the middle or, half of the times,
    another near it.
    """
    part = mask[:, targets].T
    middle = onward(sources, mask[:, targets]) @ sources.T
    chance = generator.random(part.shape) * (1.0 if generator.random() < 0.5 else 1 / EXACT)
    found: Profiles = sources[np.argmax((part != ABSENT) * (3.0 + middle + chance) + 9.0 * (part == CONSTANT), axis=1)]
    return found


def fans_of(mask: Mask, targets: Indices) -> NDArray[np.int64]:
    """Trainable edges into targets."""
    return np.asarray(np.count_nonzero(mask[:, targets] == TRAINABLE, axis=0), dtype=np.int64)


def uneven(fans: NDArray[np.int64], most: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """As many edges shared out anew, at least one a neuron and at most ``most``: neurons of different sizes."""
    shared: NDArray[np.int64] = np.minimum(fans, 1)
    weights = np.exp(generator.normal(0, generator.uniform(0.2, 1.0), fans.size))
    shared += apportion(int((fans - shared).sum()), weights, most - shared)
    return shared


def choose(mask: Mask, targets: Indices, keys: Keys, fans: NDArray[np.int64], kind: int = TRAINABLE) -> None:
    """Give targets the edges with the least keys, so many each, in place of those of the kind that they have.

    Edges of the other kind stay.
    """
    part = mask[:, targets].T
    held = (part != ABSENT) & (part != kind)
    order = np.argsort(np.where(held, np.inf, keys), axis=1, kind="stable")
    wanted = np.arange(order.shape[1]) < np.minimum(fans, (~held).sum(axis=1))[:, None]
    new = np.where(held, part, ABSENT).astype(np.int8)
    row, column = np.nonzero(wanted)
    new[row, order[row, column]] = kind
    mask[:, targets] = new.T


def cover(mask: Mask, sources: Profiles, places: Profiles) -> None:
    """Give every source without an edge one to a near target, in place of that target's farthest that can be spared."""
    bare = np.flatnonzero(~mask.any(axis=1))
    if bare.size == 0:
        return
    fan_out = np.count_nonzero(mask, axis=1)
    for source, near in zip(bare, sources[bare] @ places.T, strict=True):
        for target in np.argsort(-near, kind="stable"):
            spare = np.flatnonzero((mask[:, target] == TRAINABLE) & (fan_out > 1))
            if spare.size:
                lost = spare[np.argmin(sources[spare] @ places[target])]
                mask[lost, target], mask[source, target] = ABSENT, TRAINABLE
                fan_out[[lost, source]] += -1, 1
                break
