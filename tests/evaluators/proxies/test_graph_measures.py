"""Graph measures against networkx, enumeration and closed forms."""

from __future__ import annotations

import warnings
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.proxies.graph_measures import bandwidth, path_counts, paths, requirements, spectral_gap, synflow
from tests.evaluators.random_topologies import topologies
from topologies import Topology, butterfly, clos, dense, hypercube, low_rank, parallel_butterfly, random_regular, torus
from topologies.initialise import bounds

fast = settings(max_examples=30, deadline=None)


def as_graph(topology: Topology) -> nx.DiGraph:
    """Neurons (layer, number), with a source before the inputs and a sink after the outputs."""
    graph = nx.DiGraph()
    graph.add_nodes_from(["source", "sink"])
    for place, layer in enumerate(topology.layers):
        for source, target in zip(layer.sources.tolist(), layer.targets.tolist(), strict=True):
            graph.add_edge((place, source), (place + 1, target))
    graph.add_edges_from(("source", (0, one)) for one in range(topology.n_in))
    graph.add_edges_from(((topology.depth, one), "sink") for one in range(topology.n_out))
    return graph


class TestPaths:
    @fast
    @given(topologies(4))
    def test_as_many_as_can_be_walked(self, topology: Topology) -> None:
        graph, counts = as_graph(topology), path_counts(topology)
        for start, end in np.ndindex(*counts.shape):
            walks = list(nx.all_simple_paths(graph, (0, start), (topology.depth, end)))
            assert counts[start, end] == len([walk for walk in walks if "sink" not in walk])

    def test_a_butterfly_of_full_depth_has_one_each(self) -> None:
        found = paths(butterfly(32, 5))
        assert (found.least, found.mean, found.most, found.spread) == (1, 1, 1, 0)

    def test_clos_has_one_each_middle_router(self) -> None:
        assert paths(clos(32, 8, 9, 8)).least == paths(clos(32, 8, 9, 8)).most == 9

    def test_a_torus_is_uneven(self) -> None:
        assert paths(torus((8, 4), 7)).spread > 0.5 > paths(butterfly(32, 18)).spread

    def test_no_path(self) -> None:
        found = paths(Topology.from_masks([np.zeros((3, 2), int)]))
        assert (found.least, found.mean, found.most, found.spread) == (0, 0, 0, 0)

    def test_as_many_as_floats_hold(self) -> None:
        found = paths(Topology.from_masks([np.ones((8, 8), int)] * 300))
        assert found.mean == pytest.approx(8.0**299) and found.spread == pytest.approx(0)


class TestBandwidth:
    @fast
    @given(topologies(5))
    def test_the_fewest_neurons_that_separate_inputs_from_outputs(self, topology: Topology) -> None:
        assert bandwidth(topology) == len(nx.minimum_node_cut(as_graph(topology), "source", "sink"))

    @fast
    @given(topologies(5, skips=False), st.integers(0, 2**32 - 1))
    def test_is_the_generic_rank_of_the_product(self, topology: Topology, seed: int) -> None:
        draw = np.random.default_rng(seed)
        product = np.eye(topology.n_in)
        for mask in topology.masks():
            product = product @ (mask * draw.uniform(0.5, 2.0, mask.shape))
        assert bandwidth(topology) == np.linalg.matrix_rank(product)

    def test_families(self) -> None:
        assert bandwidth(butterfly(32, 18)) == bandwidth(hypercube(32, 6)) == bandwidth(clos(32, 8, 9, 8)) == 32
        assert bandwidth(low_rank(32, 32, 7)) == 7
        assert bandwidth(clos(32, 4, 3, 4)) == 12  # twelve lines leave the ingress routers
        assert bandwidth(parallel_butterfly(16, 2, 5)) == 16
        assert bandwidth(Topology.from_masks([np.zeros((3, 2), int)])) == 0

    def test_the_least_width_is_only_an_upper_bound(self) -> None:
        """Three neurons in each layer, but one of the first and one of the second do all the work."""
        topology = Topology.from_masks([np.ones((3, 3), int), [[1, 1, 1], [0, 0, 1], [0, 0, 1]], np.ones((3, 3), int)])
        assert min(topology.widths) == 3 and bandwidth(topology) == 2


class TestSpectralGap:
    def test_a_walk_that_forgets_everything(self) -> None:
        assert spectral_gap(dense(8, 5)) == pytest.approx(1)
        assert spectral_gap(butterfly(32, 5)) == pytest.approx(1)
        assert spectral_gap(low_rank(6, 7, 1)) == pytest.approx(1)

    def test_a_walk_that_remembers(self) -> None:
        assert spectral_gap(Topology.from_masks([np.eye(4, dtype=int)])) == pytest.approx(0)
        assert spectral_gap(Topology.from_masks([np.kron(np.eye(2, dtype=int), np.ones((3, 3), int))])) == (
            pytest.approx(0)
        )

    def test_a_lazy_walk_on_a_cycle(self) -> None:
        """On the n-cycle, staying or stepping either way with 1/3 each, the correlations are (1 + 2 cos(2πk/n)) / 3."""
        for depth in (4, 7):
            each = (1 + 2 * np.cos(2 * np.pi / 8)) / 3
            assert spectral_gap(torus((8,), depth)) == pytest.approx(1 - each**depth)

    def test_more_layers_of_an_expander_mix_better(self) -> None:
        gaps = [spectral_gap(random_regular(32, 32, 32, depth, 4)) for depth in (2, 4, 8)]
        assert gaps[0] < gaps[1] < gaps[2]

    @fast
    @given(topologies(5))
    def test_always_a_number_between_0_and_1(self, topology: Topology) -> None:
        with warnings.catch_warnings(action="error"):
            assert 0 <= spectral_gap(topology) <= 1

    def test_one_end_or_none(self) -> None:
        assert spectral_gap(Topology.from_masks([np.ones((5, 1), int)])) == 1
        assert spectral_gap(Topology.from_masks([np.zeros((5, 2), int)])) == 0


class TestSynflow:
    @fast
    @given(topologies(4))
    def test_is_the_sum_over_paths_of_parameters_times_weights(self, topology: Topology) -> None:
        graph, kinds, sizes = as_graph(topology), topology.masks(), bounds(topology)
        expected = 0.0
        for start in range(topology.n_in):
            for walk in nx.all_simple_paths(graph, (0, start), "sink"):
                edges = [kinds[place][a, b] for (place, a), (_, b) in pairwise(walk[:-1])]
                weights = [sizes[place] / 2 if kind == 1 else 1 for place, kind in enumerate(edges)]
                expected += edges.count(1) * np.prod(weights)
        assert np.exp(synflow(topology)) == pytest.approx(expected)

    def test_no_parameter_on_a_path(self) -> None:
        assert synflow(Topology.from_masks([np.full((3, 3), 2)])) == -np.inf
        assert synflow(Topology.from_masks([np.zeros((3, 3), int)])) == -np.inf

    def test_deep_cascades_stay_finite(self) -> None:
        deep = Topology.from_masks([np.full((8, 8), 2)] * 400 + [np.ones((8, 8), int)])
        assert synflow(deep) == pytest.approx(400 * np.log(8) + np.log(64 * bounds(deep)[-1] / 2))


class TestRequirements:
    def test_only_the_parallel_butterfly_meets_all_at_equal_budget(self) -> None:
        """Section VII-E, topology by topology: which requirement each lacks at 320 parameters."""
        parallel = requirements(parallel_butterfly(32, 2, 5, constants="output"))
        assert parallel.connected == 1 and parallel.unfairness < 1e-9 and parallel.bandwidth == parallel.full_bandwidth
        assert requirements(torus((8, 4), 6)).unfairness > requirements(hypercube(32, 4)).unfairness > 0.05
        narrow = requirements(clos(32, 4, 3, 4))
        assert narrow.unfairness < 1e-9 and narrow.bandwidth < narrow.full_bandwidth
        assert requirements(butterfly(32, 10)).depth == 2 * parallel.depth

    def test_skips_are_a_share_of_the_neurons_that_could_have_one(self) -> None:
        assert requirements(butterfly(16, 5)).skips == 1
        assert requirements(butterfly(16, 5, skip=False)).skips == 0
        assert requirements(Topology.from_masks([[[2, 1, 1], [1, 1, 0]]])).skips == 0.5
        assert requirements(Topology.from_masks([np.eye(3, dtype=int)])).skips == 1

    def test_unconnected_pairs_show(self) -> None:
        halves = Topology.from_masks([np.kron(np.eye(2, dtype=int), np.ones((2, 2), int))])
        assert requirements(halves).connected == 0.5 and requirements(dense(3, 4)).connected == 1

    def test_rectangular(self) -> None:
        assert requirements(clos(12, 3, 4, 2, n_out=8)).full_bandwidth == 8
