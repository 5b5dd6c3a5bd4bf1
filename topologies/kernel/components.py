"""Which neurons of neighbouring layers hang together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from topologies.topology import Layer


def components(widths: Sequence[int], layers: Sequence[Layer]) -> tuple[int, list[NDArray[np.int32]]]:
    """How many groups of neurons no edge joins, and the group of each neuron, for every layer of neurons.

    ``widths`` are the neurons before, between and after the ``layers``: one more than there are layers.
    """
    firsts = np.cumsum([0, *widths])
    sources, targets = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for layer, before, after in zip(layers, firsts, firsts[1:], strict=False):
        sources.append(layer.sources + before)
        targets.append(layer.targets + after)
    ends = (np.concatenate(sources), np.concatenate(targets))
    joined = coo_array((np.ones(ends[0].size, np.int8), ends), shape=(firsts[-1], firsts[-1]))
    count, labels = connected_components(joined, directed=False)
    return count, np.split(labels, firsts[1:-1]) if widths else []
