"""A topology's edges in flat arrays, as the compiled loops on the CPU and the GPU read them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from topologies.kernel.simd import BLOCK, LANES, TILE
from topologies.topology import Topology


class Edges(NamedTuple):
    """Edges grouped by the neuron at one end; in each group the trainable come first.

    Group ``g`` holds its trainable edges at ``start[g]:middle[g]`` and its constants at ``middle[g]:start[g + 1]``.
    ``tile`` says where the tile of the neuron at the far end begins among those of its layer, and ``lanes`` where the
    edge's weight does, both in floats; all constants share the weight after the last trainable one, which holds 1.
    """

    start: _Indices
    middle: _Indices
    tile: NDArray[np.int32]
    lanes: NDArray[np.int32]


class Plan(NamedTuple):
    """A topology as the compiled loops read it. Neurons after the inputs are numbered through all layers."""

    depth: int
    n_blocks: int
    n_slots: int
    widths: _Indices
    """Neurons of every layer, inputs first."""
    first: _Indices
    """``first[l]``: number of the first neuron of layer ``l``, for ``l >= 1``."""
    from_inputs: Edges
    """The first layer's edges by input (inputs padded to whole blocks)."""
    into: Edges
    """The other layers' edges by the neuron they enter; the first layer's neurons have none here."""
    out_of: Edges
    """The same edges by the neuron they leave."""


def plan(topology: Topology) -> Plan:
    """Arrange a topology's edges for the compiled loops."""
    layers, widths = topology.layers, np.array(topology.widths)
    first = np.concatenate(([0, 0], np.cumsum(widths[1:])))
    sources = np.concatenate([layer.sources for layer in layers], dtype=np.int64)
    targets = np.concatenate([layer.targets for layer in layers], dtype=np.int64)
    trainable = np.concatenate([layer.trainable for layer in layers])
    n_slots = int(trainable.sum())
    slots = np.where(trainable, np.cumsum(trainable) - 1, n_slots)
    n_blocks, n_neurons = -(-topology.n_in // BLOCK), int(first[-1])
    head, *rest = (layer.n_edges for layer in layers)
    level = np.repeat(np.arange(2, topology.depth + 1), rest)
    from_inputs = _grouped(sources[:head], targets[:head], slots[:head], n_slots, n_blocks * BLOCK)
    into = _grouped(first[level] + targets[head:], sources[head:], slots[head:], n_slots, n_neurons)
    out_of = _grouped(first[level - 1] + sources[head:], targets[head:], slots[head:], n_slots, n_neurons)
    return Plan(topology.depth, n_blocks, n_slots, widths, first, from_inputs, into, out_of)


_Indices = NDArray[np.int64]


def _grouped(near: _Indices, far: _Indices, slots: _Indices, n_slots: int, groups: int) -> Edges:
    constant = slots == n_slots
    order = np.argsort((2 * near + constant) * (far.max(initial=0) + 1) + far)
    ends = np.cumsum(np.bincount(near, minlength=groups))
    start = np.concatenate(([0], ends))
    middle = ends - np.bincount(near[constant], minlength=groups)
    return Edges(start, middle, (TILE * far[order]).astype(np.int32), (LANES * slots[order]).astype(np.int32))
