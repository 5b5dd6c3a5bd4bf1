"""Random layers: their fans, their constants, and what their seeds reach."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topologies.families.graphs import quick, sides
from topologies import (
    bernoulli,
    expander,
    random_regular,
)


@quick
@given(sides, sides, st.integers(1, 30), st.integers(1, 4), st.integers(0, 99), st.data())
def test_random_regular_balances_fans_and_constants(
    n_in: int, n_out: int, width: int, depth: int, seed: int, data: st.DataObject
) -> None:
    fan_in = data.draw(st.integers(1, n_in if depth == 1 else min(n_in, width)))
    topology = random_regular(n_in, n_out, width, depth, fan_in, seed)
    assert topology.widths == (n_in, *([width] * (depth - 1)), n_out)
    for layer in topology.layers:
        assert (layer.fan_in == fan_in).all()
        assert np.ptp(layer.fan_out) <= 1
        if fan_in >= 2:
            held = np.bincount(layer.sources[~layer.trainable], minlength=layer.n_in)
            assert held.sum() == layer.n_out
            assert np.ptp(held) <= 1


def test_random_regular_reaches_every_edge_and_depends_on_its_seed() -> None:
    drawn = [random_regular(8, 8, 8, 1, 3, seed) for seed in range(60)]
    assert np.logical_or.reduce([topology.masks()[0] > 0 for topology in drawn]).all()
    assert len(set(drawn)) > 50


def test_random_regular_is_as_clustered_as_a_uniform_one() -> None:
    """Sources shared by two neurons: mean f (f - 1) / (n - 1); the ring it starts from has a far greater variance."""
    n, fan_in = 32, 5
    shared = []
    for seed in range(20):
        mask = (random_regular(n, n, n, 1, fan_in, seed).masks()[0] > 0).astype(int)
        shared.append((mask.T @ mask)[np.triu_indices(n, 1)])
    mean = fan_in * (fan_in - 1) / (n - 1)
    assert np.mean(shared) == pytest.approx(mean)
    hypergeometric = mean * (1 - fan_in / n) * (n - fan_in) / (n - 1)
    assert np.var(shared) == pytest.approx(hypergeometric, rel=0.15)


@quick
@given(sides, sides, st.integers(2, 30), st.integers(1, 4), st.integers(0, 99))
def test_expander_has_equal_fan_in_only(n_in: int, n_out: int, width: int, depth: int, seed: int) -> None:
    topology = expander(n_in, n_out, width, depth, 2, seed)
    assert all((layer.fan_in == 2).all() for layer in topology.layers)
    assert topology.n_trainable == topology.n_constant


def test_expander_fan_outs_are_uneven_where_random_regular_ones_are_not() -> None:
    assert np.ptp(expander(32, 32, 32, 3, 4).layers[1].fan_out) > 1
    assert np.ptp(random_regular(32, 32, 32, 3, 4).layers[1].fan_out) == 0


@quick
@given(st.floats(0.05, 1.0), st.floats(0.05, 1.0), st.integers(0, 99))
def test_bernoulli_grows_with_density(one: float, other: float, seed: int) -> None:
    thin, thick = (bernoulli(12, 20, 16, 3, density, seed, skip=False) for density in sorted((one, other)))
    assert all((a <= b).all() for a, b in zip(thin.masks(), thick.masks(), strict=True))


def test_bernoulli_has_the_density_asked_for() -> None:
    topology = bernoulli(100, 100, 100, 3, 0.3, 7)
    assert topology.n_edges / 30_000 == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / 30_000) ** 0.5)
    assert bernoulli(10, 12, 8, 2, 1.0).n_edges == 8 * 22


def test_irregular_constants_are_spread_as_evenly_as_a_maximum_flow_can() -> None:
    """The most constants from one source equals the least limit at which a flow serves every neuron."""
    for seed in range(5):
        layer = bernoulli(10, 24, 24, 1, 0.25, seed).layers[0]
        wide = np.flatnonzero(layer.fan_in >= 2)
        held = np.bincount(layer.sources[~layer.trainable], minlength=10).max()

        def served(limit: int, layer=layer, wide=wide) -> int:  # type: ignore[no-untyped-def]
            graph = nx.DiGraph()
            graph.add_edges_from(
                (("s", source), ("t", target)) for source, target in zip(layer.sources, layer.targets, strict=True)
            )
            nx.set_edge_attributes(graph, 1, "capacity")
            graph.add_edges_from((("start", ("s", source)) for source in range(10)), capacity=limit)
            graph.add_edges_from(((("t", target), "end") for target in wide), capacity=1)
            return nx.maximum_flow_value(graph, "start", "end")

        assert served(held) == wide.size
        assert served(held - 1) < wide.size
