"""Which neurons have a path from which inputs, and to which outputs."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from topologies.layer import Layer
from topologies.topology import Topology

_Marks = NDArray[np.bool_]
_ROWS = 256  # inputs that are followed at a time, so that memory stays small
_MOST_REACHES = 1 << 26  # bytes in which it is noted which inputs reach the edges of a layer


def step(reach: NDArray[np.bool_], layer: Layer) -> NDArray[np.bool_]:
    """Carry reachability over one layer: ``(rows, n_in)`` to ``(rows, n_out)``, true where any source is."""
    onward = np.zeros((layer.n_out, reach.shape[0]), dtype=np.bool_)
    fed = np.flatnonzero(layer.fan_in)  # reduceat needs non-empty groups
    if fed.size:
        starts = np.cumsum(layer.fan_in)[fed] - layer.fan_in[fed]
        onward[fed] = np.logical_or.reduceat(reach.T[layer.sources], starts)
    return onward.T


def reversed_topology(topology: Topology) -> Topology:
    """The same edges from the outputs to the inputs."""
    return Topology(
        tuple(
            Layer(layer.n_out, layer.n_in, layer.targets, layer.sources, layer.trainable)
            for layer in reversed(topology.layers)
        )
    )


def from_inputs(topology: Topology) -> list[_Marks]:
    """Whether an input reaches a neuron, a ``(n_in, width)`` array for every layer of neurons, inputs first."""
    return _reached(topology, np.eye(topology.n_in, dtype=np.bool_))


def to_outputs(topology: Topology) -> list[_Marks]:
    """Whether a neuron reaches an output, an ``(n_out, width)`` array for every layer of neurons, inputs first."""
    return from_inputs(reversed_topology(topology))[::-1]


def is_connected(topology: Topology) -> bool:
    """Whether every input reaches every output (III); as bits, which takes an eighth of the memory of marks."""
    rows = 8 * max(1, _MOST_REACHES // max(layer.n_edges + layer.n_out for layer in topology.layers))
    for first in range(0, topology.n_in, rows):
        count = min(rows, topology.n_in - first)
        reached = np.packbits(np.eye(topology.n_in, count, -first, dtype=np.bool_), axis=1)  # from which inputs
        everything = np.packbits(np.ones(count, dtype=np.bool_))
        for layer in topology.layers:
            full = bool((reached == everything).all())
            reached = np.tile(everything, (layer.n_out, 1)) if full and layer.fan_in.all() else _joined(reached, layer)
        if not (reached == everything).all():
            return False
    return True


def unconnected_share(topology: Topology) -> float:
    """The share of pairs of an input and an output without a path between them; 0 of a connected topology."""
    connected = 0
    for first in range(0, topology.n_in, _ROWS):
        rows = np.eye(min(_ROWS, topology.n_in - first), topology.n_in, first, dtype=np.bool_)
        connected += int(np.count_nonzero(_reached(topology, rows)[-1]))
    return 1 - connected / (topology.n_in * topology.n_out)


def alive(topology: Topology, inputs: _Marks | None = None, outputs: _Marks | None = None) -> list[_Marks]:
    """Which neurons lie on a path from an input to an output, a ``(width,)`` array for every layer, inputs first.

    With ``inputs``, ``(n_in,)``, or ``outputs``, ``(n_out,)``, only paths between those that are marked count.
    """
    first = np.ones(topology.n_in, dtype=np.bool_) if inputs is None else inputs
    last = np.ones(topology.n_out, dtype=np.bool_) if outputs is None else outputs
    ahead = _reached(topology, first[None])
    behind = _reached(reversed_topology(topology), last[None])[::-1]
    return [np.asarray((one & other)[0]) for one, other in zip(ahead, behind, strict=True)]


def _reached(topology: Topology, marked: _Marks) -> list[_Marks]:
    """Which neurons are reached from the inputs marked in each row, a ``(rows, width)`` array for every layer."""
    return list(accumulate(topology.layers, step, initial=marked))


def _joined(reached: NDArray[np.uint8], layer: Layer) -> NDArray[np.uint8]:
    """Carry bits over one layer, ``(n_in, bytes)`` to ``(n_out, bytes)``: set where they are in any source."""
    onward = np.zeros((layer.n_out, reached.shape[1]), dtype=np.uint8)
    fed = np.flatnonzero(layer.fan_in)  # reduceat needs non-empty groups
    if fed.size:
        starts = np.cumsum(layer.fan_in)[fed] - layer.fan_in[fed]
        onward[fed] = np.bitwise_or.reduceat(reached[layer.sources], starts)
    return onward
