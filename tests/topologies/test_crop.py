"""Cropping: what is kept computes the same, what is dead goes, and constants come back."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from topologies import Topology, butterfly, clos, hypercube, parallel_butterfly, random_regular
from topologies.crop import prune, with_constants

quick = settings(max_examples=50, deadline=None)

FAMILIES = [
    butterfly(16, 4),
    butterfly(12, 7),
    hypercube(16, 5),
    clos(12, 3, 4, 3),
    parallel_butterfly(8, 3, 4, constants="output"),
    random_regular(12, 10, 14, 4, 4),
]


@st.composite
def cut_topologies(draw: st.DrawFn) -> tuple[Topology, int, int]:
    """A random topology, often with dead neurons and unconnected pairs, and the ends to crop it to."""
    widths = draw(st.lists(st.integers(1, 6), min_size=2, max_size=5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.sampled_from([0.3, 0.5, 0.8]))
    kinds = [1 - density, density * 0.6, density * 0.4]
    topology = Topology.from_masks([generator.choice(3, size=shape, p=kinds) for shape in pairwise(widths)])
    return topology, draw(st.integers(1, topology.n_in)), draw(st.integers(1, topology.n_out))


def paths(topology: Topology) -> np.ndarray:
    """Number of paths from every input to every output."""
    count = np.eye(topology.n_in)
    for mask in topology.masks():
        count = count @ (mask > 0)
    return count


def living(topology: Topology, n_in: int, n_out: int) -> list[list[int]]:
    """Neurons of every hidden layer on some path from a kept input to a kept output, by graph search."""
    graph = nx.DiGraph()
    for place, layer in enumerate(topology.layers):
        edges = zip(layer.sources.tolist(), layer.targets.tolist(), strict=True)
        graph.add_edges_from(((place, source), (place + 1, target)) for source, target in edges)
    graph.add_edges_from([("in", (0, k)) for k in range(n_in)] + [((topology.depth, k), "out") for k in range(n_out)])
    alive = nx.descendants(graph, "in") & nx.ancestors(graph, "out")
    return [
        [k for k in range(width) if (place, k) in alive] for place, width in enumerate(topology.widths[1:-1], start=1)
    ]


@quick
@given(cut_topologies())
def test_the_first_inputs_and_outputs_keep_exactly_their_paths(given_cut: tuple[Topology, int, int]) -> None:
    topology, n_in, n_out = given_cut
    kept = paths(topology)[:n_in, :n_out]
    assume(kept.any())
    np.testing.assert_array_equal(paths(topology.crop(n_in, n_out)), kept)


@quick
@given(cut_topologies())
def test_exactly_the_neurons_on_a_path_stay_with_the_edges_between_them(given_cut: tuple[Topology, int, int]) -> None:
    topology, n_in, n_out = given_cut
    assume(paths(topology)[:n_in, :n_out].any())
    kept = [list(range(n_in)), *living(topology, n_in, n_out), list(range(n_out))]
    cropped = topology.crop(n_in, n_out)
    assert cropped.widths == tuple(len(layer) for layer in kept)
    for mask, now, (rows, columns) in zip(topology.masks(), cropped.masks(), pairwise(kept), strict=True):
        np.testing.assert_array_equal(now > 0, mask[np.ix_(rows, columns)] > 0)


@quick
@given(cut_topologies())
def test_a_neuron_has_a_constant_edge_if_it_had_one_and_two_edges_are_left(
    given_cut: tuple[Topology, int, int],
) -> None:
    topology, n_in, n_out = given_cut
    assume(paths(topology)[:n_in, :n_out].any())
    kept = [list(range(n_in)), *living(topology, n_in, n_out), list(range(n_out))]
    for mask, now, (rows, columns) in zip(
        topology.masks(), topology.crop(n_in, n_out).masks(), pairwise(kept), strict=True
    ):
        for neuron, old in enumerate(columns):
            before, left, after = mask[:, old], mask[rows, old], now[:, neuron]
            lost = (before == 2).any() and not (left == 2).any() and (left > 0).sum() >= 2
            assert (after == 2).sum() == (left == 2).sum() + lost
            if not lost:
                np.testing.assert_array_equal(after, left)


@pytest.mark.parametrize("topology", FAMILIES, ids=repr)
def test_a_connected_topology_stays_connected_at_every_size(topology: Topology) -> None:
    assert topology.is_connected
    for n_in in range(1, topology.n_in + 1):
        for n_out in range(1, topology.n_out + 1):
            cropped = topology.crop(n_in, n_out)
            assert (cropped.n_in, cropped.n_out, cropped.is_connected) == (n_in, n_out, True)


@pytest.mark.parametrize("topology", FAMILIES, ids=repr)
def test_cropping_to_the_size_it_has_changes_nothing(topology: Topology) -> None:
    assert topology.crop(topology.n_in, topology.n_out) == topology
    assert prune(topology) == topology


def test_a_lost_constant_comes_back_on_an_edge_that_was_trainable() -> None:
    topology = Topology.from_masks([np.array([[1, 1, 1], [1, 1, 0], [2, 1, 2]])])
    np.testing.assert_array_equal(topology.crop(2, 3).masks()[0] == 2, [[True, False, False], [False, False, False]])


def test_regained_constants_are_spread_over_the_sources() -> None:
    layer = Topology.from_masks([np.ones((4, 12))]).layers[0]
    wanted = np.arange(12) != 5
    mask = with_constants(layer, wanted).mask()
    np.testing.assert_array_equal((mask == 2).sum(axis=0), wanted)
    assert set((mask == 2).sum(axis=1)) <= {2, 3}


def test_a_chain_of_dead_neurons_goes_from_both_sides() -> None:
    through = np.array([[1, 0, 1], [1, 0, 0]])  # neuron 1 has no source; neuron 2 leads nowhere in the end
    middle = np.array([[1, 0], [1, 0], [0, 1]])
    pruned = prune(Topology.from_masks([through, middle, np.array([[1], [0]])]))
    assert pruned.widths == (2, 1, 1, 1)


@pytest.mark.parametrize(
    ("n_in", "n_out", "words"), [(0, 3, "n_in = 0"), (9, 3, "n_in = 9"), (3, 0, "n_out = 0"), (3, 9, "n_out = 9")]
)
def test_other_sizes_than_there_are_get_refused(n_in: int, n_out: int, words: str) -> None:
    with pytest.raises(ValueError, match=f"{words}: crop to between 1 and the 8 that are there"):
        butterfly(8, 3).crop(n_in, n_out)


def test_a_crop_that_leaves_no_path_says_so() -> None:
    topology = Topology.from_masks([np.eye(4), np.eye(4)[::-1]])  # input i leads to output 3 - i
    assert topology.crop(3, 2).widths == (3, 1, 2)
    with pytest.raises(ValueError, match="no path leads from the first 2 inputs to the first 2 outputs"):
        topology.crop(2, 2)
