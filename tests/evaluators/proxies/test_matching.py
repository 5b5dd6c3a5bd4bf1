"""Constraint matching against brute force, and on the paper's example (Fig. 7)."""

from __future__ import annotations

import tracemalloc

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings

from evaluators import ConstraintMatching, Fidelity, Split
from tests.evaluators.random_topologies import topologies
from topologies import Topology, butterfly, dense, low_rank

fast = settings(max_examples=30, deadline=None)

FIGURE_7 = {
    "diagonal layer": Topology.from_masks([[[2], [1]], [[2, 2]], np.eye(2, dtype=int)]),
    "trainable last layer": Topology.from_masks([[[2], [1]], [[1, 1]]]),
}
"""Inputs i, j meet in neuron n, which both outputs read: two magnitudes and one ratio."""


def served_by(topology: Topology) -> list[np.ndarray]:
    """For every trainable edge, in order, the entries with a path through it: ``(n_in, n_out)`` bool."""
    masks = [(mask > 0).astype(int) for mask in topology.masks()]
    found = []
    for place, layer in enumerate(topology.layers):
        before, after = np.eye(topology.n_in, dtype=int), np.eye(topology.n_out, dtype=int)
        for mask in masks[:place]:
            before = before @ mask
        for mask in reversed(masks[place + 1 :]):
            after = mask @ after
        ends = zip(layer.sources[layer.trainable], layer.targets[layer.trainable], strict=True)
        found += [np.outer(before[:, source], after[target_]) > 0 for source, target_ in ends]
    return found


class TestMatching:
    @fast
    @given(topologies(4))
    def test_as_many_as_networkx_finds_and_each_by_an_edge_of_its_own(self, topology: Topology) -> None:
        matching, serves = ConstraintMatching().analyse(topology), served_by(topology)
        used = matching.edge_of[matching.edge_of >= 0]
        assert np.unique(used).size == used.size == matching.count
        for entry, edge in np.ndenumerate(matching.edge_of):
            assert edge < 0 or serves[edge][entry]
        graph = nx.Graph()
        graph.add_nodes_from(range(len(serves)))
        for edge, entries in enumerate(serves):
            graph.add_edges_from((edge, (int(i), int(k))) for i, k in np.argwhere(entries))
        most = nx.bipartite.hopcroft_karp_matching(graph, range(len(serves)))
        assert matching.count == len(most) // 2

    @pytest.mark.parametrize("name", FIGURE_7)
    def test_figure_7_serves_three_of_four(self, name: str) -> None:
        assert ConstraintMatching().analyse(FIGURE_7[name]).count == 3

    def test_memory_is_in_proportion_to_the_choices_alone(self) -> None:
        tracemalloc.start()
        try:
            ConstraintMatching().analyse(low_rank(128, 128, 1))
            assert tracemalloc.get_traced_memory()[1] < 2**21  # 256 edges x 128 x 128 would be 4 MB
        finally:
            tracemalloc.stop()

    def test_it_counts_greed_as_much_as_fairness(self) -> None:
        """The same number of entries, once spread over all outputs and once all at one (the paper's objection)."""
        fair = Topology.from_masks([np.eye(6, dtype=int)])
        greedy = Topology.from_masks([np.pad(np.ones((6, 1), int), ((0, 0), (0, 5)))])
        assert ConstraintMatching().analyse(fair).count == ConstraintMatching().analyse(greedy).count == 6

    def test_parameters_beyond_the_entries_serve_nothing(self) -> None:
        assert ConstraintMatching().analyse(low_rank(4, 5, 6, skip=False)).count == 20

    def test_the_score_is_the_share_of_entries_not_served(self) -> None:
        fidelity = Fidelity(2, 1, (0.1,))
        assert ConstraintMatching().evaluate(dense(4, 4), fidelity, Split.SEARCH, 0).errors == (0, 0)
        assert ConstraintMatching().evaluate(butterfly(16, 6), fidelity, Split.SEARCH, 1).errors == (1 - 96 / 256,) * 2

    @pytest.mark.parametrize("masks", [[np.full((3, 2), 2)], [np.zeros((3, 2), int)], [[[1, 0]], [[0], [1]]]])
    def test_nothing_to_match(self, masks: list[np.ndarray]) -> None:
        matching = ConstraintMatching().analyse(Topology.from_masks(masks))
        assert matching.count == 0 and (matching.edge_of == -1).all()

    def test_too_many_choices_are_refused_in_one_line(self) -> None:
        with pytest.raises(ValueError, match="at most 134217728 are matched"):
            ConstraintMatching().analyse(butterfly(256, 40))
