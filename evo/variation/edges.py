"""Random edges: which to add to a layer and which to take away, so that the fans stay even.

Everything here works in place on masks, ``(n_in, n_out)`` int8 arrays of absent, trainable and constant edges,
which are the private working copy of whoever calls. Even fans are worth several per cent of the error, so edges
go to neurons that have few and are taken from neurons that have many; now and then this is left to chance, so
that uneven topologies can be found too.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from topologies.entries import ABSENT, CONSTANT, TRAINABLE

Mask = NDArray[np.int8]
Masks = list[Mask]
Indices = NDArray[np.intp]

_EVEN = 0.8
"""How often fans are kept even."""
_PAIRINGS = 6
"""How often ends that met where an edge is already are paired anew, before any absent edge will do."""


def count(masks: Iterable[Mask], kind: int) -> int:
    """Number of edges of a kind."""
    return sum(int(np.count_nonzero(mask == kind)) for mask in masks)


def step_size(limit: int, generator: np.random.Generator) -> int:
    """A number from 1 to ``limit``, log-uniform: most steps are small, some are large."""
    return max(1, int(np.exp(generator.uniform(0, np.log(limit + 1))))) if limit > 1 else 1


def apportion(total: int, weights: ArrayLike, room: ArrayLike) -> NDArray[np.int64]:
    """Whole numbers that add up to ``total`` in proportion to positive ``weights``, none above its ``room``.

    They add up to all the room there is where that is less.
    """
    shares = np.asarray(weights, dtype=np.float64)
    free = np.array(room, dtype=np.int64)
    given = np.zeros_like(free)
    total = min(total, int(free.sum()))
    while (left := total - int(given.sum())) > 0:
        wanted = np.where(given < free, shares, 0.0)
        exact = left * wanted / wanted.sum()
        whole = np.minimum(exact.astype(np.int64), free - given)
        if not whole.any():  # less than one each: to the largest claims
            whole[np.argsort(-exact, kind="stable")[:left]] = 1
            whole = np.minimum(whole, free - given)
        given += whole
    return given


def add(mask: Mask, number: int, generator: np.random.Generator, kind: int = TRAINABLE) -> int:
    """Add random edges of a kind, first between neurons that have few; returns how many found room.

    Trainable edges even out the fans of all edges, constant ones the fans of constants, so that neurons without
    a constant are the first to get one.
    """
    if number <= 0:
        return 0
    absent = mask == ABSENT
    room = absent.sum(axis=1), absent.sum(axis=0)
    number = min(number, int(room[0].sum()))
    if number == 0:
        return 0
    fans = _fans(mask, kind)
    spread = _spread(number, generator)
    sources, targets = (_fewest(*side, number, spread, generator) for side in zip(fans, room, strict=True))
    for _ in range(_PAIRINGS):
        sources = generator.permutation(sources)
        fits = _first(sources * mask.shape[1] + targets, mask.size) & (mask[sources, targets] == ABSENT)
        mask[sources[fits], targets[fits]] = kind
        sources, targets = sources[~fits], targets[~fits]
        if sources.size == 0:
            return number
    out, into = _fans(mask, kind)
    rows, columns = np.nonzero(mask == ABSENT)
    crowd = out[rows] + into[columns] + generator.random(rows.size)
    chosen = np.argsort(crowd)[: sources.size]
    mask[rows[chosen], columns[chosen]] = kind
    return number


def removable(mask: Mask, generator: np.random.Generator, kind: int = TRAINABLE) -> tuple[Indices, Indices]:
    """Sources and targets of edges that can all go without a neuron losing its last; the most crowded first."""
    sources, targets = np.nonzero(mask > ABSENT)
    of_kind = mask[sources, targets] == kind
    keys = generator.random(sources.size) + of_kind  # of a neuron's edges, those of the other kind count as the first
    into, out = _rank(targets, keys), _rank(sources, keys)
    height = into + out + generator.random(sources.size) * _spread(sources.size, generator)
    free = np.flatnonzero(of_kind & (into > 0) & (out > 0))
    free = free[np.argsort(-height[free])]
    return sources[free], targets[free]


def remove(mask: Mask, number: int, generator: np.random.Generator, mark: int = ABSENT) -> int:
    """Take away trainable edges, first between neurons that have many; returns how many could go.

    ``mark`` is written in their place.
    """
    sources, targets = removable(mask, generator)
    mask[sources[:number], targets[:number]] = mark
    return min(number, sources.size)


def one_per_neuron(candidates: NDArray[np.bool_], generator: np.random.Generator) -> tuple[Indices, Indices]:
    """Source and target of one edge at random for every target that has a candidate, in random order."""
    targets = generator.permutation(np.flatnonzero(candidates.any(axis=0)))
    keys = generator.random((candidates.shape[0], targets.size)) * candidates[:, targets]
    return keys.argmax(axis=0), targets


def freezable(mask: Mask) -> NDArray[np.bool_]:
    """Trainable edges that may become constant: their neuron has no constant yet and another edge beside."""
    neurons = ~(mask == CONSTANT).any(axis=0) & (np.count_nonzero(mask, axis=0) > 1)
    edges: NDArray[np.bool_] = (mask == TRAINABLE) & neurons
    return edges


def _fans(mask: Mask, kind: int) -> tuple[Indices, Indices]:
    """The edges out of every source and into every target that an edge of a kind should even out, see ``add``."""
    counted = mask > ABSENT if kind == TRAINABLE else mask == kind
    return counted.sum(axis=1), counted.sum(axis=0)


def _spread(size: int, generator: np.random.Generator) -> float:
    """How much chance is mixed into the order of fans: ties only, or at times all of it."""
    return 1.0 if generator.random() < _EVEN else float(size)


def _fewest(
    fans: NDArray[np.int64], room: NDArray[np.int64], number: int, spread: float, generator: np.random.Generator
) -> Indices:
    """The neurons that should get one more edge, ``number`` of them with repetition: water finds its level."""
    slots = np.arange(min(number, int(room.max())))
    levels = fans[:, None] + slots + generator.random((fans.size, slots.size)) * spread
    levels = np.where(slots < room[:, None], levels, np.inf)
    lowest = np.sort(np.argpartition(levels, number - 1, axis=None)[:number])  # whose order depends on the processor
    return lowest // slots.size


def _first(cells: Indices, size: int) -> NDArray[np.bool_]:
    """Which of these numbers below ``size`` have not been there before."""
    places = np.arange(cells.size)
    first = np.full(size, cells.size)
    np.minimum.at(first, cells, places)
    new: NDArray[np.bool_] = first[cells] == places
    return new


def _rank(groups: Indices, keys: NDArray[np.float64]) -> Indices:
    """Place of every edge among the edges of its group, in order of the keys, from 0."""
    order = np.lexsort((keys, groups))
    in_order = groups[order]
    ranks = np.empty_like(order)
    ranks[order] = np.arange(order.size) - np.searchsorted(in_order, in_order)
    return ranks
