"""Which neurons of neighbouring layers hang together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from topologies.layer import Layer


def components(widths: Sequence[int], layers: Sequence[Layer]) -> tuple[int, list[NDArray[np.int32]]]:
    """How many groups of neurons no edge joins, and the group of each neuron, for every layer of neurons.

    ``widths`` are the neurons before, between and after the ``layers``: one more than there are layers.
    """
    firsts = np.cumsum([0, *widths])
    sources, targets = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for layer, before, after in zip(layers, firsts, firsts[1:], strict=False):
        sources.append(layer.sources + before)
        targets.append(layer.targets + after)
    count, labels = _numbered(_joined(int(firsts[-1]), np.concatenate(sources), np.concatenate(targets)))
    return count, np.split(labels, firsts[1:-1]) if widths else []


def _joined(count: int, sources: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first of the neurons that every neuron hangs together with.

    As in Shiloach and Vishkin's algorithm, groups are hooked onto the first of their neighbours until no edge joins
    two. SciPy has the same, but is not to be needed where a mask is only used.
    """
    first = np.arange(count)
    while True:
        one, other = first[sources], first[targets]
        if np.array_equal(one, other):
            return first
        np.minimum.at(first, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(first, first[first]):
            first = first[first]


def _numbered(first: NDArray[np.int64]) -> tuple[int, NDArray[np.int32]]:
    """How many groups there are, and their numbers, in order of their first neurons."""
    groups, labels = np.unique(first, return_inverse=True)
    return len(groups), labels.astype(np.int32)
