"""How many edges are left trainable where a square cascade is cropped, counted without building it.

Families that exist only as squares are built at the larger side and lose inputs or outputs, never both. Cropping
thins the first layers (or the last), until every neuron is reached; all further layers are whole. So a cascade is
counted by the layers of its thin end and the sum of the others, whatever its depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import prod

import numpy as np
from numpy.typing import NDArray

from topologies.families.digits import strides

Numbers = NDArray[np.int32]
Count = Callable[[int], int]
"""Trainable edges, with ``skip``, at a depth."""


@dataclass(frozen=True)
class SquareLayer:
    """Edges between as many neurons, not listed: every neuron with ``fan`` others, itself among them.

    ``forward`` sums the values of every neuron's sources, ``backward`` those of its targets; values are ``(size,)``.
    """

    fan: int
    forward: Callable[[Numbers], Numbers]
    backward: Callable[[Numbers], Numbers]


@lru_cache(maxsize=1024)
def butterfly_count(system: tuple[int, ...], start: int, n_in: int, n_out: int) -> Count:
    """Counts of the butterfly of these radices whose first layer changes digit ``start``, cropped to its ends.

    In closed form: neurons that are joined with the first m are those whose number is below m once the digits that
    the layers between have changed are zero.
    """
    size, digits = prod(system), len(system)
    whole = [size * (radix - 1) for radix in system]

    def thin(places: Sequence[int]) -> list[int]:
        """The trainable edges of layers that change these digits, from the cropped end on."""
        counts = []
        for reached, place in enumerate(places):
            free = set(places[:reached])
            kept = min(n_in, n_out)
            alive = _below(kept, system, dict.fromkeys(free, 0)) * prod(system[digit] for digit in free)
            edges = alive * system[place]
            if n_in < n_out:  # a target may be left with one edge, which is trainable
                several = _below(kept, system, {**dict.fromkeys(free, 0), place: 1})
                counts.append(edges - several * prod(system[digit] for digit in free | {place}))
            else:
                counts.append(edges - alive)
        return counts

    return _count(thin, whole, start, digits, n_in, n_out)


def keeps_constant(system: Sequence[int], place: int, depth: int, n_in: int, n_out: int) -> bool:
    """Whether the outputs of a cropped butterfly, whose last layer changes digit ``place``, have a constant edge.

    They have not where that layer is the first to use all of its inputs, and each has one edge alone.
    """
    return n_in >= n_out or depth > len(system) or strides(system)[place] < n_in


def cycle_count(layers: Sequence[SquareLayer], n_in: int, n_out: int) -> Count:
    """Counts of a cascade that repeats square layers, cropped to its ends.

    By carrying along how many neurons that matter each neuron is joined with, from the cropped end.
    """
    size = max(n_in, n_out)

    def thin(places: Sequence[int]) -> list[int]:
        """The trainable edges of layers from the cropped end on, until all neurons are reached."""
        alive = (np.arange(size) < min(n_in, n_out)).astype(np.int32)
        counts: list[int] = []
        for place in places:
            layer = layers[place]
            if n_in < n_out:
                fan_in = layer.forward(alive)
                counts.append(int(fan_in.sum() - (fan_in >= 2).sum()))
                alive = (fan_in > 0).astype(np.int32)
            else:
                counts.append(int(alive.sum()) * (layer.fan - 1))
                alive = (layer.backward(alive) > 0).astype(np.int32)
            if alive.all():
                break
        return counts

    return _count(thin, [size * (layer.fan - 1) for layer in layers], 0, size, n_in, n_out)


def _count(
    thin: Callable[[Sequence[int]], list[int]], whole: Sequence[int], start: int, longest: int, n_in: int, n_out: int
) -> Count:
    """Counts at any depth of a cascade whose layers repeat, from those of whole layers and those at its thin end."""
    period = len(whole)
    turns = list(accumulate((whole[(start + place) % period] for place in range(2 * period)), initial=0))
    ends: dict[int, list[int]] = {}

    def wholes(first: int, number: int) -> int:
        """The sum of ``number`` whole layers from the one at ``first`` of the cascade."""
        first %= period
        return number // period * turns[period] + turns[first + number % period] - turns[first]

    def count(depth: int) -> int:
        if n_in == n_out:
            return wholes(0, depth)
        last = (start + depth - 1) % period
        key = start if n_in < n_out else last
        if key not in ends:
            ends[key] = thin([(key + (place if n_in < n_out else -place)) % period for place in range(longest)])
        end = ends[key][:depth]
        return sum(end) + wholes(len(end) if n_in < n_out else 0, depth - len(end))

    return count


def _below(limit: int, system: Sequence[int], fixed: Mapping[int, int]) -> int:
    """How many numbers below ``limit`` have the given values of the given digits."""
    below, place_value, free = 0, 1, 1  # of the digits so far, from the lowest: numbers below theirs, and all
    for place, radix in enumerate(system):
        digit = limit // place_value
        if place < len(system) - 1:
            digit %= radix
        if place not in fixed:
            below += digit * free
            free *= radix
        elif fixed[place] != digit:
            below = free if fixed[place] < digit else 0
        place_value *= radix
    return below
