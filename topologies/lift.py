"""A topology at larger sizes: every neuron several times, and every edge as often.

A topology that was searched at 32 x 32 has in this way a form at 128 x 128 or at 768 x 3072. It keeps the depth, the
fans and the constants of the one it comes from; trainable edges grow as the sizes do, so that the density falls, and
with it what a few layers can connect. What such a form is worth beside families that are built at the size is in
``tests/benchmarks/results.md``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from topologies.crop import between
from topologies.extras import needed_by
from topologies.families.arguments import both_sides, whole
from topologies.layer import Layer
from topologies.stack import AnyTopology, the_topology
from topologies.topology import Topology

_DRAWS = 16  # of all matchings, to find ones that leave no pair unconnected
_HOPELESS = 8.0  # unconnected pairs expected, of which no draw is likely to be rid


def lift(topology: AnyTopology, k: int, seed: int = 0) -> Topology:
    """Every neuron ``k`` times, and every edge a random matching between the copies of its two ends.

    In the words of graph theory this is a random k-lift. The copies of neuron ``i`` are ``i k`` to ``i k + k - 1``, so
    that inputs which were neighbours still are. Every copy has the fans and the constants of its neuron; trainable and
    constant edges are exactly ``k`` times as many.

    An input reaches one copy of an output along each path to it. So a connected topology gives a connected one where
    there are a few times ``k`` paths between any two ends: then several draws are tried. Where there are fewer, some
    pairs are left unconnected; :func:`topologies.reach.unconnected_share` tells how many.

    Parameters
    ----------
    topology:
        At any sizes; a stack of a single place counts as one.
    k:
        How many copies of every neuron there are.
    seed:
        Names one lift for good.

    Raises
    ------
    ValueError
        When ``k`` or ``seed`` is inadmissible, a layer would be too wide, or it is a stack of several places.
    """
    topology = the_topology(topology, "the stack")
    k, seed = whole("k", k, 1), whole("seed", seed, 0, 2**63)
    whole("k times the widest layer", k * max(topology.widths), 1)
    if k == 1:
        return topology
    with needed_by("lift"):
        from topologies.product import product

    paths = product(topology, [np.ones(layer.n_edges) for layer in topology.layers])
    doubt = k * k * float(((1 - 1 / k) ** paths).sum())
    draws = [np.random.default_rng([seed, draw]) for draw in range(_DRAWS if doubt < _HOPELESS else 1)]
    for generator in draws:
        lifted = _lifted(topology, k, generator)
        if len(draws) > 1 and lifted.is_connected:
            break
    return lifted


def resize(topology: AnyTopology, n_in: int, n_out: int, seed: int = 0) -> Topology:
    """The topology at other sizes: lifted until both fit, then cropped.

    Copies of inputs and outputs go evenly, from the highest-numbered copy of a neuron on, rather than from the end:
    every input of the topology has copies among those that stay, as equally many as can be, in its order. Where the
    topology is the larger one, inputs and outputs go evenly.

    Raises
    ------
    ValueError
        As :func:`lift` and :func:`topologies.crop.between` do.
    """
    topology = the_topology(topology, "the stack")
    n_in, n_out = both_sides(n_in, n_out)
    if (n_in, n_out) == (topology.n_in, topology.n_out):
        return topology
    k = max(-(-n_in // topology.n_in), -(-n_out // topology.n_out))
    lifted = lift(topology, k, seed)
    return between(lifted, _kept(topology.n_in, k, n_in), _kept(topology.n_out, k, n_out))


def _lifted(topology: Topology, k: int, generator: np.random.Generator) -> Topology:
    """One draw of all matchings, layer after layer, edge after edge."""
    return Topology(tuple(_lifted_layer(layer, k, generator) for layer in topology.layers))


def _lifted_layer(layer: Layer, k: int, generator: np.random.Generator) -> Layer:
    copies = np.tile(np.arange(k), (layer.n_edges, 1))
    sources = layer.sources[:, None] * k + copies
    targets = layer.targets[:, None] * k + generator.permuted(copies, axis=1)
    return Layer(layer.n_in * k, layer.n_out * k, sources.ravel(), targets.ravel(), np.repeat(layer.trainable, k))


def _kept(n: int, k: int, wanted: int) -> NDArray[np.bool_]:
    """Which of ``k`` copies of ``n`` neurons stay so that ``wanted`` do, ``(n k,)``: of each as many as can be."""
    bounds = np.arange(n + 1) * wanted // n
    return (np.arange(k) < np.diff(bounds)[:, None]).ravel()
