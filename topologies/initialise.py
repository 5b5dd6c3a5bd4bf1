"""First weights of a cascade: sparse Xavier (paper, section IV, equation 2), corrected where edges are constant.

Xavier's bound keeps the variance of activations and errors level when it counts the edges a neuron really has.
Constant edges alone already carry the variance through their layer, so whatever the trainable ones add grows with
depth. There the trainable edges share an allowance: each of the L_c layers with constants may multiply the variance
by about 1 + 1/L_c, and all of them together stay below a factor of e.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from topologies.layer import Layer
from topologies.topology import Topology


def bounds(topology: Topology) -> list[float]:
    """The bound r of every layer, inputs first: trainable weights start uniform in (-r, r).

    A layer without constants has r = sqrt(6 / (mean fan-in + mean fan-out)), which is equation 2. A layer with
    constants has r = sqrt(6 / ((t_in + t_out) L_c)), with t the mean *trainable* fans and L_c the number of layers
    that have constants. A layer without trainable edges has nothing to draw, and r = 0.
    """
    with_constants = sum(_has_constants(layer) for layer in topology.layers)
    return [_bound(layer, with_constants if _has_constants(layer) else 1) for layer in topology.layers]


def initial_weights(topology: Topology, generator: np.random.Generator) -> list[NDArray[np.float32]]:
    """A weight for every edge: one float32 array of shape ``(n_edges,)`` a layer, in the layer's order of edges.

    Constant edges are exactly 1. Trainable ones are drawn layer after layer, inputs first, in order of
    (target, source): the result is a function of the topology and the generator's state alone.
    """
    weights = []
    for layer, bound in zip(topology.layers, bounds(topology), strict=True):
        of_layer = np.ones(layer.n_edges, dtype=np.float32)
        of_layer[layer.trainable] = generator.uniform(-bound, bound, layer.n_trainable)
        weights.append(of_layer)
    return weights


def _bound(layer: Layer, sharing: int) -> float:
    """Xavier's bound over mean trainable fans, its variance divided among the layers ``sharing`` an allowance."""
    if layer.n_trainable == 0:
        return 0.0
    fans = layer.n_trainable / layer.n_out + layer.n_trainable / layer.n_in
    return math.sqrt(6 / (fans * sharing))


def _has_constants(layer: Layer) -> bool:
    return layer.n_trainable < layer.n_edges
