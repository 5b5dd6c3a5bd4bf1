"""Which neurons have a path from which inputs, and to which outputs."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from topologies.topology import Layer, Topology, step

_Marks = NDArray[np.bool_]
_ROWS = 256  # inputs that are followed at a time, so that memory stays small


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
