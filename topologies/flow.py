"""The most that can flow through a cascade whose neurons have limited room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from topologies.layer import Layer


class Flow(NamedTuple):
    """A maximum flow: ``value`` units, ``along`` the edges of a graph.

    Of n neurons, numbered through from the first layer's on, neuron k is entered at node k and left at node n + k.
    Node 2n is where flow begins, node 2n + 1 where it ends, after the last layer. Where flow would run backwards the
    entries of ``along``, of shape ``(2n + 2, 2n + 2)``, are negative.
    """

    value: int
    along: csr_array


def greatest_flow(
    layers: Sequence[Layer], entering: Sequence[NDArray[np.integer]], room: Sequence[NDArray[np.integer]]
) -> Flow:
    """A maximum flow out of the last neurons.

    ``entering`` and ``room``, one whole number a neuron in an array for each layer of neurons, are what may enter the
    cascade at it and what may pass through it; edges carry any amount. There is one layer of neurons more than of
    edges.
    """
    starts = np.cumsum([0, *(of_layer.size for of_layer in room)])
    n = int(starts[-1])
    neurons, outputs = np.arange(n), np.arange(starts[-2], n)
    begins = np.concatenate(entering)
    edges = [
        (n + before + layer.sources, after + layer.targets)
        for before, after, layer in zip(starts, starts[1:], layers, strict=False)
    ]
    tails = [np.full(n, 2 * n), neurons, n + outputs, *(tail for tail, _ in edges)]
    heads = [neurons, n + neurons, np.full(outputs.size, 2 * n + 1), *(head for _, head in edges)]
    ample = np.full(outputs.size + sum(tail.size for tail, _ in edges), begins.sum())
    capacities = np.concatenate([begins, np.concatenate(room), ample]).astype(np.int32)
    graph = csr_array((capacities, (np.concatenate(tails), np.concatenate(heads))), (2 * n + 2, 2 * n + 2))
    found = maximum_flow(graph, 2 * n, 2 * n + 1)
    return Flow(int(found.flow_value), found.flow)
