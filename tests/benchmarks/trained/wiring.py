"""Wiring that knows the data, and wiring that knows nothing: patches, orders of the inputs, scattered edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from topologies.layer import Layer
from topologies.topology import Topology


def similarity(x: NDArray[np.float32], most: int = 20_000) -> NDArray[np.float64]:
    """Absolute correlations of the inputs, ``(inputs, inputs)``; 0 with inputs that never change, but 1 with itself."""
    centred = x[:most].astype(np.float64)
    centred -= centred.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    centred /= np.where(norms == 0, 1, norms)
    found = np.abs(centred.T @ centred)
    np.fill_diagonal(found, 1)
    return np.asarray(found)


def near_on_grid(height: int, width: int) -> NDArray[np.float64]:
    """How near pixels of an image are, in rows: minus their distance."""
    row, column = np.divmod(np.arange(height * width), width)
    return np.asarray(-np.hypot(row[:, None] - row, column[:, None] - column))


def patches(
    near: NDArray[np.float64], seen: int, before: int = 1, after: int = 1, centres: Sequence[int] | None = None
) -> Topology:
    """One layer whose neurons each see the ``seen`` places that are nearest to their own.

    Parameters
    ----------
    near:
        ``(places, places)``: large where two places are alike.
    seen:
        Places that a neuron sees, all neurons of each.
    before, after:
        Neurons at every place before and after the layer, numbered place by place.
    centres:
        The places that have neurons after the layer; by default all.
    """
    own = np.arange(len(near)) if centres is None else np.asarray(centres)
    nearest = np.argsort(-near[own], axis=1, kind="stable")[:, :seen]
    sources = (nearest[:, :, None] * before + np.arange(before)).reshape(len(own), -1)
    return one_layer(len(near) * before, np.repeat(sources, after, axis=0))


def spread(near: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """So many places that lie evenly in the order of :func:`pairing`."""
    order = pairing(near)
    return order[np.arange(count) * len(order) // count]


def pairing(near: NDArray[np.float64]) -> NDArray[np.int64]:
    """An order of the inputs in which aligned blocks of 2, 4, 8, ... are clusters of inputs that are alike.

    Clusters are paired greedily, those of the greatest mean similarity first, so that sizes double.
    """
    clusters, sums = [[place] for place in range(len(near))], near.astype(np.float64)
    while len(clusters) > 1:
        sizes = np.array([len(one) for one in clusters])
        means = sums / np.outer(sizes, sizes)
        upper = np.triu_indices(len(clusters), 1)
        free, pairs = np.ones(len(clusters), np.bool_), []
        for at in np.argsort(-means[upper], kind="stable").tolist():
            one, other = int(upper[0][at]), int(upper[1][at])
            if free[one] and free[other]:
                free[[one, other]] = False
                pairs.append((one, other))
        groups = [*pairs, *((one,) for one in np.flatnonzero(free).tolist())]
        joins = np.zeros((len(groups), len(clusters)))
        for row, group in enumerate(groups):
            joins[row, list(group)] = 1
        clusters = [[place for one in group for place in clusters[one]] for group in groups]
        sums = joins @ sums @ joins.T
    return np.array(clusters[0])


def reordered(topology: Topology, order: NDArray[np.int64]) -> Topology:
    """The topology whose input ``p`` is input ``order[p]`` of the data."""
    first = topology.layers[0]
    layer = Layer(first.n_in, first.n_out, order[first.sources], first.targets, first.trainable)
    return Topology((layer, *topology.layers[1:]))


def scattered(n_in: int, n_out: int, edges: int, draw: np.random.Generator) -> Topology:
    """One layer of so many edges at random places."""
    return from_flat(n_in, n_out, draw.choice(n_in * n_out, edges, replace=False))


def one_layer(n_in: int, sources: NDArray[np.integer]) -> Topology:
    """One layer of trainable edges, from the sources ``(neurons, fan-in)``."""
    targets = np.repeat(np.arange(len(sources)), sources.shape[1])
    return from_flat(n_in, len(sources), targets * n_in + sources.ravel())


def from_flat(n_in: int, n_out: int, flat: NDArray[np.integer]) -> Topology:
    """One layer of trainable edges, given as target times ``n_in`` plus source."""
    return Topology((Layer(n_in, n_out, flat % n_in, flat // n_in, np.ones(flat.size, np.bool_)),))
