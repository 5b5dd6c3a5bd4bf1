"""Which neurons have a path from which inputs, and to which outputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from topologies.topology import Layer, Topology, step


def reversed_topology(topology: Topology) -> Topology:
    """The same edges from the outputs to the inputs."""
    return Topology(
        tuple(
            Layer(layer.n_out, layer.n_in, layer.targets, layer.sources, layer.trainable)
            for layer in reversed(topology.layers)
        )
    )


def from_inputs(topology: Topology) -> list[NDArray[np.bool_]]:
    """Whether an input reaches a neuron, a ``(n_in, width)`` array for every layer of neurons, inputs first."""
    reached = [np.eye(topology.n_in, dtype=np.bool_)]
    for layer in topology.layers:
        reached.append(step(reached[-1], layer))
    return reached


def to_outputs(topology: Topology) -> list[NDArray[np.bool_]]:
    """Whether a neuron reaches an output, an ``(n_out, width)`` array for every layer of neurons, inputs first."""
    return from_inputs(reversed_topology(topology))[::-1]


def alive(topology: Topology) -> list[NDArray[np.bool_]]:
    """Which neurons lie on a path from an input to an output, a ``(width,)`` array for every layer, inputs first."""
    both = zip(from_inputs(topology), to_outputs(topology), strict=True)
    return [np.asarray(ahead.any(axis=0) & behind.any(axis=0)) for ahead, behind in both]
