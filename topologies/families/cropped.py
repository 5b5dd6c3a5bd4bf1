"""How many edges are left trainable where a square cascade is cropped, counted without building it.

Families that exist only as squares are built at the larger side and lose inputs or outputs, never both. Cropping
thins the first layers (or the last), until every neuron is reached; all further layers are whole. So a cascade is
counted by the layers of its thin end and the sum of the others, whatever its depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, cycle, islice
from math import prod

from topologies.families.digits import strides

Neurons = int
"""A set of them: bit i of a whole number says whether neuron i is one. At thousands of neurons this is the fastest."""
Reached = tuple[Neurons, Neurons]
"""The neurons that a layer joins with a set, and those of them that it joins with two or more of the set."""
Count = Callable[[int], int]
"""Trainable edges, with ``skip``, at a depth."""


@dataclass(frozen=True)
class SquareLayer:
    """Edges between as many neurons, not listed: every neuron with ``fan`` others, itself among them.

    ``reach`` gives what a set of neurons is joined with. It may do so in either direction: the neurons that cropping
    leaves are an interval, and these layers are the same when they are read from the other end.
    """

    fan: int
    reach: Callable[[Neurons], Reached]


def merged(*parts: Reached) -> Reached:
    """What several kinds of edges reach together, no two of which join the same two neurons."""
    once = twice = 0
    for one, two in parts:
        twice |= two | once & one
        once |= one
    return once, twice


def moved_along(neurons: Neurons, move: Callable[[Neurons, int], Neurons], first: int, count: int) -> Reached:
    """What a set reaches by ``count`` successive distances from ``first`` on, by doubling.

    ``move(neurons, by)`` is the set so far on; to move it twice is to move it by the sum.
    """
    if count == 0:
        return 0, 0
    if count == 1:
        return move(neurons, first), 0
    half = count // 2
    once, twice = moved_along(neurons, move, first, half)
    last = (move(neurons, first + count - 1), 0) if count % 2 else (0, 0)
    return merged((once, twice), (move(once, half), move(twice, half)), last)


def turned(size: int, stride: int, radix: int, neurons: Neurons, by: int) -> Neurons:
    """The set, of ``size`` neurons, after the digit at ``stride`` of each has gone ``by`` further round."""
    by %= radix
    if by == 0:
        return neurons
    low = _with_digit_below(size, stride, radix, radix - by)
    return (neurons & low) << by * stride | (neurons & ~low) >> (radix - by) * stride


@lru_cache(maxsize=4096)
def _with_digit_below(size: int, stride: int, radix: int, limit: int) -> Neurons:
    """All neurons whose digit at ``stride`` is below a limit."""
    every = ((1 << size) - 1) // ((1 << stride * radix) - 1)  # a bit at every multiple of stride * radix
    return every * ((1 << stride * limit) - 1)


@lru_cache(maxsize=1024)
def butterfly_count(system: tuple[int, ...], start: int, n_in: int, n_out: int) -> Count:
    """Counts of the butterfly of these radices whose first layer changes digit ``start``, cropped to its ends.

    In closed form: neurons that are joined with the first m are those whose number is below m once the digits that
    the layers between have changed are zero.
    """
    size = prod(system)
    whole = [size * (radix - 1) for radix in system]
    return _count(lambda place: _butterfly_end(system, place, n_in, n_out), whole, start, n_in, n_out)


@lru_cache(maxsize=4096)
def _butterfly_end(system: tuple[int, ...], first: int, n_in: int, n_out: int) -> list[int]:
    """The trainable edges of a butterfly's layers from the cropped end on, where digit ``first`` is changed."""
    kept, counts = min(n_in, n_out), []
    free: set[int] = set()
    for place in _turn(first, len(system), n_in < n_out):
        alive = _below(kept, system, dict.fromkeys(free, 0)) * prod(system[digit] for digit in free)
        edges = alive * system[place]
        if n_in < n_out:  # a target may be left with one edge, which is trainable
            several = _below(kept, system, {**dict.fromkeys(free, 0), place: 1})
            counts.append(edges - several * prod(system[digit] for digit in free | {place}))
        else:
            counts.append(edges - alive)
        free.add(place)
    return counts


def keeps_constant(system: Sequence[int], place: int, depth: int, n_in: int, n_out: int) -> bool:
    """Whether the outputs of a cropped butterfly, whose last layer changes digit ``place``, have a constant edge.

    They have not where that layer is the first to use all of its inputs, and each has one edge alone.
    """
    return n_in >= n_out or depth > len(system) or strides(system)[place] < n_in


def cycle_count(layers: Sequence[SquareLayer], n_in: int, n_out: int) -> Count:
    """Counts of a cascade that repeats square layers, cropped to its ends.

    By carrying along the set of neurons that matter, from the cropped end.
    """
    size = max(n_in, n_out)
    every = (1 << size) - 1

    def end(first: int) -> list[int]:
        """The trainable edges of layers from the cropped end on, until all neurons are reached."""
        alive, counts = (1 << min(n_in, n_out)) - 1, []
        for place in islice(cycle(_turn(first, len(layers), n_in < n_out)), size):
            layer = layers[place]
            reached, twice = layer.reach(alive)
            if n_in < n_out:  # a target may be left with one edge, which is trainable
                counts.append(alive.bit_count() * layer.fan - twice.bit_count())
            else:
                counts.append(alive.bit_count() * (layer.fan - 1))
            alive = reached
            if alive == every:
                break
        return counts

    return _count(lru_cache(end), [size * (layer.fan - 1) for layer in layers], 0, n_in, n_out)


def _turn(first: int, period: int, forward: bool) -> list[int]:
    """The kinds of layers in the order in which they follow each other, or precede, from one of them on."""
    return [(first + (step if forward else -step)) % period for step in range(period)]


def least_count(layers: int, fans: int, n_in: int, n_out: int) -> int:
    """No more trainable edges than square layers, whose fans sum to ``fans``, have left where they are cropped.

    Of the neurons that one end leaves, all have edges in every layer; where outputs are many, an edge is trainable if
    it is its target's only one, or for one of every two that a target has.
    """
    neurons = min(n_in, n_out)
    return neurons * fans // 2 if n_in < n_out else neurons * (fans - layers)


def _count(end: Callable[[int], list[int]], whole: Sequence[int], start: int, n_in: int, n_out: int) -> Count:
    """Counts at any depth of a cascade whose layers repeat, from those of whole layers and those at its thin end.

    ``end`` gives the counts of the thin layers if that at the cropped end is of a kind.
    """
    period = len(whole)
    turns = list(accumulate((whole[(start + place) % period] for place in range(2 * period)), initial=0))

    def wholes(first: int, number: int) -> int:
        """The sum of ``number`` whole layers from the one at ``first`` of the cascade."""
        first %= period
        return number // period * turns[period] + turns[first + number % period] - turns[first]

    def count(depth: int) -> int:
        if n_in == n_out:
            return wholes(0, depth)
        thin = end(start if n_in < n_out else (start + depth - 1) % period)[:depth]
        return sum(thin) + wholes(len(thin) if n_in < n_out else 0, depth - len(thin))

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
