"""The control of a wiring: the same topology with its edges at random, with all kept that can be counted."""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import NDArray

from topologies.layer import Layer
from topologies.stack import AnyTopology, Stack
from topologies.topology import Topology

_SWEEPS = 20
"""Times that the edges of a layer are paired up and exchange their targets; then nothing is left of where they were."""


@overload
def shuffled(topology: Topology, draw: np.random.Generator) -> Topology: ...


@overload
def shuffled(topology: Stack, draw: np.random.Generator) -> Stack: ...


def shuffled(topology: AnyTopology, draw: np.random.Generator) -> AnyTopology:
    """The topology with every layer's edges wired at random; of a stack, every place.

    Widths stay, and every neuron keeps its trainable and its constant fan-in and fan-out: pairs of edges of one kind
    a → b, c → d become a → d, c → b, where that makes no edge twice. What tells a topology from this knows more than
    how many edges there are and where. It may leave inputs and outputs unconnected.
    """
    if isinstance(topology, Stack):
        return Stack(tuple(shuffled(place, draw) for place in topology.places))
    return Topology(tuple(_shuffled(layer, draw) for layer in topology.layers))


def _shuffled(layer: Layer, draw: np.random.Generator) -> Layer:
    sources, targets = layer.sources.astype(np.int64), layer.targets.astype(np.int64)
    for kind in (layer.trainable, ~layer.trainable):
        edges = np.flatnonzero(kind)
        for _ in range(_SWEEPS if edges.size > 1 else 0):
            order = draw.permutation(edges)
            one, other = order[: edges.size // 2], order[edges.size // 2 : edges.size // 2 * 2]
            crossed = np.stack((targets[other] * layer.n_in + sources[one], targets[one] * layer.n_in + sources[other]))
            there = np.concatenate((targets * layer.n_in + sources, crossed.ravel()))
            fine = there_once(crossed, there).all(axis=0)
            one, other = one[fine], other[fine]
            targets[one], targets[other] = targets[other].copy(), targets[one].copy()
    return Layer(layer.n_in, layer.n_out, sources, targets, layer.trainable)


def there_once(some: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of some edges' numbers are there exactly once, in memory in proportion to the edges."""
    if numbers.max() < 32 * numbers.size:
        return np.asarray(np.bincount(numbers)[some] == 1)
    ordered = np.sort(numbers)
    return np.asarray(np.searchsorted(ordered, some, "right") - np.searchsorted(ordered, some, "left") == 1)
