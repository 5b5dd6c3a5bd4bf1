"""Measures against what counting paths one by one gives, and the numbers that the paper's families must have."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topologies.entries import CONSTANT, TRAINABLE
from topologies.families.blocks import dense, low_rank
from topologies.families.butterfly import butterfly, parallel_butterfly
from topologies.families.clos import clos
from topologies.measures import Spread, fans, frozen_entries, frozen_lower_bound, summarise
from topologies.topology import Topology

fast = settings(max_examples=40, deadline=None)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Few neurons, many constants, some neurons without edges."""
    widths = draw(st.lists(st.integers(1, 4), min_size=2, max_size=5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = draw(st.sampled_from([(0.3, 0.2, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0), (0.0, 0.2, 0.8)]))
    return Topology.from_masks([generator.choice(3, size=(a, b), p=kinds) for a, b in pairwise(widths)])


def paths(topology: Topology, start: int, end: int) -> Iterator[list[int]]:
    """The edge kinds along every path from an input to an output."""

    def walk(place: int, neuron: int, kinds: list[int]) -> Iterator[list[int]]:
        if place == topology.depth:
            if neuron == end:
                yield kinds
            return
        for onward, kind in enumerate(masks[place][neuron]):
            if kind:
                yield from walk(place + 1, onward, [*kinds, int(kind)])

    masks = topology.masks()
    return walk(0, start, [])


class TestFrozenEntries:
    @fast
    @given(topologies())
    def test_against_every_path(self, topology: Topology) -> None:
        values = frozen_entries(topology)
        assert values.shape == (topology.n_in, topology.n_out)
        for (start, end), value in np.ndenumerate(values):
            kinds = list(paths(topology, start, end))
            if any(TRAINABLE in path for path in kinds):
                assert np.isnan(value)
            else:
                assert value == len(kinds)

    @fast
    @given(topologies(), st.integers(0, 2**32 - 1))
    def test_no_weights_move_them_and_some_weights_move_the_others(self, topology: Topology, seed: int) -> None:
        generator = np.random.default_rng(seed)
        products = []
        for _ in range(2):
            product = np.eye(topology.n_in)
            for mask in topology.masks():
                product = product @ np.where(
                    mask == CONSTANT, 1.0, (mask == TRAINABLE) * generator.normal(size=mask.shape)
                )
            products.append(product)
        values = frozen_entries(topology)
        frozen = ~np.isnan(values)
        assert np.array_equal(products[0][frozen], values[frozen])
        assert np.all(products[0][~frozen] != products[1][~frozen])

    @fast
    @given(topologies(), st.integers(0, 2**32 - 1))
    def test_the_bound_is_the_error_of_the_frozen_entries(self, topology: Topology, seed: int) -> None:
        """The mean over Gaussian targets of what the frozen entries alone cost, over the mean energy."""
        values = frozen_entries(topology)
        frozen = ~np.isnan(values)
        targets = np.random.default_rng(seed).normal(size=(4000, *values.shape))
        cost = ((targets - np.nan_to_num(values)) ** 2 * frozen).sum(axis=(1, 2))
        energy = values.size
        spread = cost.std() / energy / np.sqrt(4000)
        assert frozen_lower_bound(topology) == pytest.approx(cost.mean() / energy, abs=6 * spread + 1e-12)

    @pytest.mark.parametrize(
        ("topology", "bound"),
        [
            (parallel_butterfly(32, 4, 5), 17 / 32),
            (parallel_butterfly(32, 5, 4), 27 / 32),
            (butterfly(32, 5), 2 / 32),
            (butterfly(32, 6), 0.0),
            (clos(32, 8, 9, 8), 0.0),
            (butterfly(32, 4), 16 / 32 + 2 / 32),
        ],
        ids=["p4 d5", "p5 d4", "butterfly 5", "butterfly 6", "clos", "butterfly 4"],
    )
    def test_families(self, topology: Topology, bound: float) -> None:
        assert frozen_lower_bound(topology) == bound

    def test_more_paths_than_an_integer_holds(self) -> None:
        deep = Topology.from_masks([np.full((8, 8), CONSTANT)] * 30)
        assert np.all(frozen_entries(deep) == 2.0**87)
        assert frozen_lower_bound(deep) == pytest.approx(2.0**174)

    def test_more_paths_than_a_float_holds(self) -> None:
        deep = Topology.from_masks([np.full((8, 8), CONSTANT)] * 400)
        with warnings.catch_warnings(action="error"):
            assert frozen_lower_bound(deep) == np.inf


class TestFans:
    def test_constants_count(self) -> None:
        (only,) = fans(Topology.from_masks([[[1, 2, 0], [0, 1, 1]]]))
        assert only.fan_in == Spread(1, 4 / 3, 2)
        assert only.fan_out == Spread(2, 2.0, 2)

    def test_a_neuron_without_edges_counts(self) -> None:
        (only,) = fans(Topology.from_masks([[[1, 0], [0, 0]]]))
        assert only.fan_in == only.fan_out == Spread(0, 0.5, 1)

    @fast
    @given(topologies())
    def test_both_sides_have_the_same_edges(self, topology: Topology) -> None:
        for layer, each in zip(topology.layers, fans(topology), strict=True):
            assert each.fan_in.mean * layer.n_out == pytest.approx(layer.n_edges)
            assert each.fan_out.mean * layer.n_in == pytest.approx(layer.n_edges)

    def test_clos_routers(self) -> None:
        ingress, middle, egress = fans(clos(32, 8, 9, 8))
        assert ingress.fan_in == Spread(4, 4.0, 4) and ingress.fan_out == Spread(9, 9.0, 9)
        assert middle.fan_in == middle.fan_out == Spread(8, 8.0, 8)
        assert egress.fan_in == Spread(9, 9.0, 9) and egress.fan_out == Spread(4, 4.0, 4)


class TestSummary:
    @fast
    @given(topologies())
    def test_unconnected_pairs_have_no_path(self, topology: Topology) -> None:
        pairs = [(start, end) for start in range(topology.n_in) for end in range(topology.n_out)]
        unconnected = sum(next(paths(topology, *pair), None) is None for pair in pairs)
        assert summarise(topology).unconnected_pairs == unconnected
        assert (unconnected == 0) == topology.is_connected

    def test_butterfly_of_depth_five(self) -> None:
        """All 32 diagonal entries are the one path of constants."""
        summary = summarise(butterfly(32, 5))
        assert summary.widths == (32,) * 6
        assert (summary.n_edges, summary.n_trainable, summary.n_constant) == (320, 160, 160)
        assert (summary.unconnected_pairs, summary.frozen_entries) == (0, 32)
        assert summary.frozen_lower_bound == 2 / 32

    def test_a_butterfly_one_layer_short_misses_half_of_the_pairs(self) -> None:
        summary = summarise(butterfly(32, 4))
        assert (summary.unconnected_pairs, summary.frozen_entries) == (512, 512 + 32)

    @pytest.mark.parametrize("topology", [dense(5, 7), low_rank(5, 7, 1, skip=False)])
    def test_nothing_is_frozen_where_all_edges_are_trained(self, topology: Topology) -> None:
        assert summarise(topology).frozen_entries == 0
