"""A numbering of hidden neurons that does not depend on how they were numbered, and the digest it gives.

Colour refinement (Weisfeiler-Leman): every neuron starts with a colour (inputs and outputs their own number,
hidden neurons their layer) and takes up the multiset of its neighbours' colours until no class splits any more.
Hidden neurons are then sorted by colour. Neurons whose colours tie keep their order: two numberings of one
topology may then have different digests, which costs an evaluation, but two topologies never share one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from topologies.packing import pack
from topologies.topology import Layer, Topology

_Colours = list[NDArray[np.uint64]]


def canonical(topology: Topology) -> Topology:
    """The same topology with hidden neurons in canonical order; inputs and outputs keep their numbers."""
    orders = [np.argsort(colour, kind="stable") for colour in _refine(topology)[1:-1]]
    return renumber(topology, orders)


def renumber(topology: Topology, orders: Sequence[NDArray[np.integer]]) -> Topology:
    """The topology with each hidden layer's neurons in a new order.

    ``orders[l][k]`` is the old number of neuron ``k`` of hidden layer ``l``; there are ``depth - 1`` orders.
    """
    ends = [np.arange(topology.n_in), *orders, np.arange(topology.n_out)]
    new_numbers = [np.argsort(order) for order in ends]
    return Topology(
        tuple(
            Layer(layer.n_in, layer.n_out, before[layer.sources], after[layer.targets], layer.trainable)
            for layer, before, after in zip(topology.layers, new_numbers, new_numbers[1:], strict=False)
        )
    )


def digest(topology: Topology) -> str:
    """SHA-256 (hexadecimal) over the widths and edges of the canonical form."""
    return hashlib.sha256(pack(canonical(topology))).hexdigest()


def _refine(topology: Topology) -> _Colours:
    starts = np.arange(1, topology.depth + 2, dtype=np.uint64)
    colours: _Colours = [
        _mix(np.full(width, start, dtype=np.uint64)) for start, width in zip(starts, topology.widths, strict=True)
    ]
    for end in (0, -1):
        own_numbers: NDArray[np.uint64] = np.arange(colours[end].size, dtype=np.uint64)
        colours[end] = _mix(colours[end] + own_numbers)
    classes = _count(colours)
    while True:
        finer: _Colours = [_mix(colour) for colour in colours]
        for place, layer in enumerate(topology.layers):
            kind = np.where(layer.trainable, np.uint64(0x51ED), np.uint64(0xC0257))
            forward = _mix(colours[place][layer.sources] + kind)
            backward = _mix(colours[place + 1][layer.targets] + (kind << np.uint64(20)))
            np.add.at(finer[place + 1], layer.targets, forward)
            np.add.at(finer[place], layer.sources, backward)
        colours = [_mix(colour) for colour in finer]
        now = _count(colours)
        if now in (classes, sum(topology.widths)):  # no class split, or every neuron has its own
            return colours
        classes = now


def _count(colours: _Colours) -> int:
    return sum(np.unique(colour).size for colour in colours)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: spreads every input bit over the whole word. Overflow wraps, as intended."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
