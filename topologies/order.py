"""The order in which a drawing lists the neurons of a layer: one in which its edges are short and cross little.

Hidden neurons have no order of their own, and that of a canonical form scatters them. Each is put at the mean place of
the neurons that it is joined to, sweep after sweep (the barycentre method of K. Sugiyama, S. Tagawa and M. Toda,
*Methods for visual understanding of hierarchical system structures*, 1981). Inputs and outputs keep their places, which
mean something.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from topologies.layer import Layer
from topologies.topology import Topology

_SWEEPS = 12

_Places = list[NDArray[np.float64]]


def heights(topology: Topology) -> list[NDArray[np.float64]]:
    """Vertical places of the neurons of every column, one apart and centred on zero; shape ``(neurons,)`` each.

    Of all orders that were met, that with the shortest edges; the topology's own where nothing is shorter.
    """
    places = [_centred(np.arange(width)) for width in topology.widths]
    best, shortest = places, _length(topology, places)
    for sweep in range(_SWEEPS):
        places = _swept(topology, places, first=sweep == 0)
        length = _length(topology, places)
        if length < shortest:
            best, shortest = places, length
    return best


def _swept(topology: Topology, places: _Places, first: bool) -> _Places:
    """Every hidden column sorted by the mean places of what it is joined to, from the inputs on.

    The first sweep looks back alone, because what lies ahead has no order yet.
    """
    found = list(places)
    for column in range(1, topology.depth):
        before, after = topology.layers[column - 1], topology.layers[column]
        total, count = _sums(before, found[column - 1], back=True)
        if not first:
            ahead, more = _sums(after, found[column + 1], back=False)
            total, count = total + ahead, count + more
        means = np.where(count > 0, total / np.maximum(count, 1), found[column])
        found[column] = _centred(np.argsort(np.argsort(means, kind="stable"), kind="stable"))
    return found


def _sums(layer: Layer, places: NDArray[np.float64], back: bool) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of every neuron at one side of a layer, the sum of the places at its edges' other ends, and their number."""
    own, other, width = (
        (layer.targets, layer.sources, layer.n_out) if back else (layer.sources, layer.targets, layer.n_in)
    )
    return np.bincount(own, places[other], width).astype(np.float64), np.bincount(own, minlength=width)


def _length(topology: Topology, places: _Places) -> float:
    """How far all edges go up or down, together."""
    return float(
        sum(
            np.abs(places[column][layer.sources] - places[column + 1][layer.targets]).sum()
            for column, layer in enumerate(topology.layers)
        )
    )


def _centred(order: NDArray[np.int64]) -> NDArray[np.float64]:
    return order.astype(np.float64) - (order.size - 1) / 2
