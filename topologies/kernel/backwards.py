"""The edges of a wiring in order of their sources: so the way back writes every gradient once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from topologies.kernel.compiled import compiled
from topologies.kernel.places import has_names, which
from topologies.kernel.simd import at
from topologies.kernel.tiles import put
from topologies.kernel.wiring import CONSTANT, END, NEURON, TRAINABLE, WIDTH, Wiring

_Floats = NDArray[np.float32]


class Way(NamedTuple):
    """The edges of one kind in the order of the way back: part by part, last layer first, source by source.

    ``starts`` has for every stage its sources' first edges and the end of the last one's, from ``firsts`` on;
    ``targets`` where the edges go to. ``order`` is which of the cascade's weights each has, and ``weight`` those.
    """

    firsts: NDArray[np.int64]
    starts: NDArray[np.int32]
    targets: NDArray[np.int32]
    order: NDArray[np.int32]
    weight: _Floats


def ways_back(wiring: Wiring, weight: _Floats) -> tuple[Way, Way]:
    """Trainable and constant edges on the way back: made for every call, since to keep them would double a layer."""
    firsts, size = wiring.back
    n_trainable, n_constant = weight.size, wiring.edges.constant_sources.size
    memory = np.empty(2 * (size + n_trainable) + n_constant, np.int32)
    middle, end = 2 * size + n_trainable, 2 * (size + n_trainable)
    order = memory[middle:end]
    trainable = Way(firsts, memory[:size], memory[2 * size : middle], order, np.empty_like(weight))
    constant = Way(firsts, memory[size : 2 * size], memory[end:], order[:0], weight[:0])
    _arrange(wiring.edges, weight, trainable, constant)
    return trainable, constant


@compiled
def _arrange(edges, weight, trainable, constant):  # type: ignore[no-untyped-def]
    """Fill the ways back."""
    trainable.starts[:] = 0
    constant.starts[:] = 0
    first, first_constant = 0, 0
    for part in range(edges.parts):
        for number in range(edges.depth):
            stage = (part + 1) * edges.depth - 1 - number
            first = _sort(edges, stage, TRAINABLE, edges.trainable_counts, edges.trainable_sources, trainable, first)
            first_constant = _sort(
                edges, stage, CONSTANT, edges.constant_counts, edges.constant_sources, constant, first_constant
            )
    for e in range(trainable.order.size):
        mine = which(edges, at(trainable.order, e))
        put(trainable.order, e, mine)
        put(trainable.weight, e, at(weight, mine))


@compiled
def _sort(edges, stage, kind, counts, sources, way, first):  # type: ignore[no-untyped-def]
    """A counting sort of one stage's edges by source, from place ``first`` on; returns the place after them."""
    neuron, end = edges.stages[stage, NEURON], edges.stages[stage, END]
    edge, base, starts, named = edges.stages[stage, kind], way.firsts[stage], way.starts, has_names(edges, stage)
    last = edge
    for k in range(neuron, end):
        last += at(counts, k)
    for e in range(edge, last):
        source = base + at(sources, e)
        put(starts, source, at(starts, source) + 1)
    total = first
    for j in range(base, base + edges.stages[stage, WIDTH] + 1):
        total += at(starts, j)
        put(starts, j, total)
    # The starts are those of the next source until its own edges have been put before it, last one first.
    for k in range(end - 1, neuron - 1, -1):
        target = np.int64(at(edges.names, k)) if named else k - neuron
        for _ in range(at(counts, k)):
            last -= 1
            source = base + at(sources, last)
            found = at(starts, source) - 1
            put(starts, source, found)
            put(way.targets, found, target)
            if way.order.size:
                put(way.order, found, last)
    return total


@compiled
def restore(partial, order, gradient):  # type: ignore[no-untyped-def]
    """Add up the chunks' gradients, in order of the way back, to ``gradient``, in order of the cascade's weights."""
    for e in range(order.size):
        total = partial[0, e]
        for chunk in range(1, partial.shape[0]):
            total += partial[chunk, e]
        put(gradient, at(order, e), total)
