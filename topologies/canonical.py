"""A numbering of hidden neurons that does not depend on how they were numbered, and the digest it gives.

Colour refinement (Weisfeiler-Leman): every neuron starts with a colour (inputs and outputs their own number,
hidden neurons their layer) and takes up the multiset of its neighbours' colours until no class splits any more.
Hidden neurons are then sorted by colour. Neurons whose colours tie keep their order: two numberings of one
topology may then have different digests, which costs an evaluation, but two topologies never share one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from topologies.layer import Layer
from topologies.packing import pack
from topologies.topology import Topology

_Colours = NDArray[np.uint64]

_KINDS: NDArray[np.uint64] = np.array([0xC0257, 0x51ED], dtype=np.uint64)
"""What a constant and a trainable edge add to the colour of their source, and, shifted, to that of their target."""
_BACK = np.uint64(20)


def canonical(topology: Topology) -> Topology:
    """The same topology with hidden neurons in canonical order; inputs and outputs keep their numbers.

    It comes with its digest: SHA-256 (hexadecimal) over its widths and edges.
    """
    graph = _Graph.of(topology)
    colours = _refine(graph)
    hidden = list(pairwise(graph.starts))[1:-1]
    form = _renumber(graph, [np.argsort(colours[start:end], kind="stable") for start, end in hidden])
    form.__dict__["digest"] = hashlib.sha256(pack(form)).hexdigest()
    return form


def renumber(topology: Topology, orders: Sequence[NDArray[np.integer]]) -> Topology:
    """The topology with each hidden layer's neurons in a new order.

    ``orders[l][k]`` is the old number of neuron ``k`` of hidden layer ``l``; there are ``depth - 1`` orders.
    """
    return _renumber(_Graph.of(topology), orders)


class _Graph(NamedTuple):
    """A topology with its neurons numbered through, inputs first, and the edges of all layers in one array."""

    widths: tuple[int, ...]
    edges: tuple[int, ...]
    """Neurons and edges of every layer."""
    starts: tuple[int, ...]
    """The first neuron of every layer, and the number of all neurons."""
    origins: NDArray[np.int64]
    """The first neuron of the layer that an edge comes from and of the one it goes to, shape ``(2, edges)``."""
    ends: NDArray[np.int64]
    """The source and the target of every edge, shape ``(2, edges)``."""
    trainable: NDArray[np.bool_]

    @staticmethod
    def of(topology: Topology) -> _Graph:
        """The graph of a topology."""
        layers, widths = topology.layers, topology.widths
        edges = tuple(layer.n_edges for layer in layers)
        starts = tuple(accumulate(widths, initial=0))
        origins = np.repeat([starts[:-2], starts[1:-1]], edges, axis=1)
        ends = np.concatenate([(layer.sources, layer.targets) for layer in layers], axis=1)
        trainable = np.concatenate([layer.trainable for layer in layers])
        return _Graph(widths, edges, starts, origins, origins + ends, trainable)


def _renumber(graph: _Graph, orders: Sequence[NDArray[np.integer]]) -> Topology:
    size = graph.starts[-1]
    every = np.arange(graph.widths[0]), *orders, np.arange(graph.widths[-1])
    new = np.empty(size, dtype=np.int64)
    new[np.concatenate([start + order for start, order in zip(graph.starts, every, strict=False)])] = np.arange(size)
    sources, targets = new[graph.ends]
    in_order = np.sort((targets * size + sources) * 2 + graph.trainable)  # one number an edge: target, source, kind
    ends = np.stack((in_order // 2 % size, in_order // (2 * size))) - graph.origins
    sources, targets = ends.astype(np.int32)
    trainable = in_order % 2 == 1
    fences = pairwise(accumulate(graph.edges, initial=0))
    return Topology(
        tuple(
            Layer.in_order(n_in, n_out, sources[start:end], targets[start:end], trainable[start:end])
            for (n_in, n_out), (start, end) in zip(pairwise(graph.widths), fences, strict=True)
        )
    )


def _refine(graph: _Graph) -> _Colours:
    """The final colour of every neuron."""
    n_in, n_out = graph.widths[0], graph.widths[-1]
    colours = _mix(np.repeat(np.arange(1, len(graph.widths) + 1, dtype=np.uint64), graph.widths))
    for end in (colours[:n_in], colours[-n_out:]):
        own_numbers: _Colours = np.arange(end.size, dtype=np.uint64)
        end[:] = _mix(end + own_numbers)
    kinds = _KINDS[graph.trainable.view(np.uint8)]
    tellers, listeners = graph.ends.ravel(), graph.ends[::-1].ravel()  # every neuron hears from all its neighbours
    tones = np.concatenate((kinds, kinds << _BACK))
    classes = _count(colours)
    while True:
        finer = _mix(colours)
        np.add.at(finer, listeners, _mix(colours[tellers] + tones))
        colours = _mix(finer)
        now = _count(colours)
        if now in (classes, colours.size):  # no class split, or every neuron has its own
            return colours
        classes = now


def _count(colours: _Colours) -> int:
    """Number of classes."""
    in_order = np.sort(colours)
    return 1 + int(np.count_nonzero(in_order[1:] != in_order[:-1]))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: spreads every input bit over the whole word. Overflow wraps, as intended."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values
