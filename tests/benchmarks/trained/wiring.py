"""Wiring that knows the data, and wiring that forgets everything: patches, orders of the inputs, shuffles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from topologies.topology import Layer, Topology

_SWEEPS = 20
"""Times that the edges of a layer are paired up and exchange their ends when it is shuffled."""


def similarity(x: NDArray[np.float32], most: int = 20_000) -> NDArray[np.float64]:
    """Absolute correlations of the inputs, ``(inputs, inputs)``; 0 with inputs that never change, but 1 with itself."""
    centred = x[:most].astype(np.float64)
    centred -= centred.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    centred /= np.where(norms == 0, 1, norms)
    found = np.abs(centred.T @ centred)
    np.fill_diagonal(found, 1)
    return np.asarray(found)


def near_on_grid(height: int, width: int, channels: int = 1) -> NDArray[np.float64]:
    """How near pixels of an image are: minus their distance, neighbours in row order first; channels come last."""
    row, column = np.divmod(np.arange(height * width), width)
    apart = np.hypot(row[:, None] - row, column[:, None] - column)
    return np.repeat(np.repeat(-apart, channels, axis=0), channels, axis=1)


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
    sources = np.repeat(sources, after, axis=0)
    targets = np.repeat(np.arange(len(sources)), sources.shape[1])
    edges = (sources.ravel(), targets, np.ones(targets.size, np.bool_))
    return Topology((Layer(len(near) * before, len(sources), *edges),))


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
    flat = draw.choice(n_in * n_out, edges, replace=False)
    return Topology((Layer(n_in, n_out, flat % n_in, flat // n_in, np.ones(edges, np.bool_)),))


def strongest(n_in: int, n_out: int, scores: NDArray[np.floating], edges: int) -> Topology:
    """One layer of the edges of the greatest scores, which are in order of (target, source)."""
    return from_flat(n_in, n_out, np.argsort(-scores, kind="stable")[:edges])


def from_flat(n_in: int, n_out: int, flat: NDArray[np.integer]) -> Topology:
    """One layer of trainable edges, given as target times ``n_in`` plus source."""
    return Topology((Layer(n_in, n_out, flat % n_in, flat // n_in, np.ones(flat.size, np.bool_)),))


def shuffled(places: Sequence[Topology], draw: np.random.Generator) -> tuple[Topology, ...]:
    """Every layer wired at random, with the trainable and constant fan-in and fan-out of every neuron kept."""
    return tuple(Topology(tuple(_shuffled(layer, draw) for layer in one.layers)) for one in places)


def _shuffled(layer: Layer, draw: np.random.Generator) -> Layer:
    """Pairs of edges of one kind exchange their targets where that makes no edge twice."""
    sources, targets = layer.sources.astype(np.int64), layer.targets.astype(np.int64)
    for kind in (layer.trainable, ~layer.trainable):
        edges = np.flatnonzero(kind)
        for _ in range(_SWEEPS if edges.size > 1 else 0):
            order = draw.permutation(edges)
            one, other = order[: edges.size // 2], order[edges.size // 2 : edges.size // 2 * 2]
            crossed = np.stack((targets[other] * layer.n_in + sources[one], targets[one] * layer.n_in + sources[other]))
            there = np.concatenate((targets * layer.n_in + sources, crossed.ravel()))
            fine = (np.bincount(there)[crossed] == 1).all(axis=0)
            one, other = one[fine], other[fine]
            targets[one], targets[other] = targets[other].copy(), targets[one].copy()
    return Layer(layer.n_in, layer.n_out, sources, targets, layer.trainable)
