"""The control of a score: a topology's wiring at random, with all that can be counted kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from topologies.canonical import canonical
from topologies.topology import Layer, Topology

_SWEEPS = 10
"""Swaps tried, times the edges of a layer: far more than it takes to forget where they were."""


def shuffled(topology: Topology, draw: np.random.Generator) -> Topology:
    """The topology with every layer's edges wired at random, in canonical form.

    Widths stay, and every neuron keeps its trainable and its constant fan-in and fan-out: pairs of edges of one kind
    a → b, c → d become a → d, c → b, where that makes no edge twice. What tells a topology from this knows more than
    how many edges there are and where. It may leave inputs and outputs unconnected.
    """
    return canonical(Topology(tuple(_shuffled(layer, draw) for layer in topology.layers)))


def _shuffled(layer: Layer, draw: np.random.Generator) -> Layer:
    targets = layer.targets.astype(np.int64)
    present = set(zip(layer.sources.tolist(), targets.tolist(), strict=True))
    for kind in (layer.trainable, ~layer.trainable):
        _swap(layer.sources, targets, np.flatnonzero(kind), present, draw)
    return Layer(layer.n_in, layer.n_out, layer.sources, targets, layer.trainable)


def _swap(
    sources: NDArray[np.integer],
    targets: NDArray[np.int64],
    places: NDArray[np.int64],
    present: set[tuple[int, int]],
    draw: np.random.Generator,
) -> None:
    """Exchange the targets of random pairs of the edges at ``places``; changes ``targets`` and ``present``."""
    if places.size < 2:
        return
    for first, second in draw.choice(places, (_SWEEPS * places.size, 2)).tolist():
        a, b, c, d = int(sources[first]), int(targets[first]), int(sources[second]), int(targets[second])
        if a != c and b != d and (a, d) not in present and (c, b) not in present:
            present -= {(a, b), (c, d)}
            present |= {(a, d), (c, b)}
            targets[first], targets[second] = d, b
