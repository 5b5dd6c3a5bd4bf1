"""Topologies at larger sizes: every neuron so many times, paths as before, at any sizes by cropping."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from topologies import Topology, butterfly, clos, dense, hypercube, lift, random_regular, resize
from topologies.reach import unconnected_share

quick = settings(max_examples=60, deadline=None)


@st.composite
def cascades(draw: st.DrawFn, most: int = 6) -> Topology:
    """Any widths and kinds, dead neurons and unconnected pairs included."""
    widths = draw(st.lists(st.integers(1, most), min_size=2, max_size=5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    kinds = draw(st.sampled_from([(0.5, 0.3, 0.2), (0.1, 0.6, 0.3), (0.0, 0.7, 0.3)]))
    return Topology.from_masks([generator.choice(3, size=shape, p=kinds) for shape in pairwise(widths)])


def paths(topology: Topology) -> NDArray[np.int64]:
    """Number of paths from every input to every output."""
    count = np.eye(topology.n_in, dtype=np.int64)
    for mask in topology.masks():
        count = count @ (mask > 0)
    return count


@quick
@given(cascades(), st.integers(1, 6), st.integers(0, 9))
def test_every_neuron_and_every_edge_is_there_k_times(topology: Topology, k: int, seed: int) -> None:
    lifted = lift(topology, k, seed)
    assert lifted.widths == tuple(k * width for width in topology.widths)
    for layer, copies in zip(topology.layers, lifted.layers, strict=True):
        assert np.array_equal(copies.fan_in, np.repeat(layer.fan_in, k))
        assert np.array_equal(copies.fan_out, np.repeat(layer.fan_out, k))
        blocks = copies.mask().reshape(layer.n_in, k, layer.n_out, k)
        for kind in (1, 2):  # between the copies of two neurons there is a matching of the edge's kind, or nothing
            wanted = (layer.mask() == kind)[:, None, :]
            assert np.array_equal((blocks == kind).sum(axis=3), np.broadcast_to(wanted, (layer.n_in, k, layer.n_out)))
    assert (lifted.n_trainable, lifted.n_constant) == (k * topology.n_trainable, k * topology.n_constant)


@quick
@given(cascades(), st.integers(1, 5))
def test_a_copy_of_an_input_has_as_many_paths_to_the_copies_of_an_output(topology: Topology, k: int) -> None:
    found = paths(lift(topology, k)).reshape(topology.n_in, k, topology.n_out, k).sum(axis=3)
    assert np.array_equal(found, np.repeat(paths(topology)[:, None, :], k, axis=1))


@quick
@given(cascades(), st.integers(2, 5))
def test_what_is_connected_stays_connected_where_there_are_paths_enough(topology: Topology, k: int) -> None:
    fewest = paths(topology).min()
    lifted = lift(topology, k)
    if fewest < k:
        assert not lifted.is_connected  # there are more copies than paths
    if fewest >= 12 * k:
        assert lifted.is_connected


@pytest.mark.parametrize(
    ("topology", "k"),
    [(dense(4, 4), 1), (butterfly(16, 12), 8), (clos(16, 4, 32, 4), 3), (hypercube(16, 6), 6)],
)
def test_families_stay_connected(topology: Topology, k: int) -> None:
    assert topology.is_connected and lift(topology, k).is_connected
    assert unconnected_share(lift(topology, k)) == 0


def test_the_share_of_unconnected_pairs_is_what_is_left() -> None:
    lifted = lift(random_regular(6, 6, 6, 3, 2), 20)
    assert unconnected_share(lifted) == pytest.approx((paths(lifted) == 0).mean())
    assert unconnected_share(lifted) > 0.5


@quick
@given(cascades(), st.integers(2, 5), st.integers(0, 99))
def test_a_seed_names_one_lift(topology: Topology, k: int, seed: int) -> None:
    assert lift(topology, k, seed) == lift(topology, k, seed)


def test_other_seeds_are_other_lifts() -> None:
    topology = butterfly(16, 8)
    assert len({lift(topology, 3, seed).digest for seed in range(5)}) == 5
    assert lift(topology, 1, 3) is topology


@quick
@given(cascades(), st.integers(1, 20), st.integers(1, 20))
def test_resize_gives_any_sizes(topology: Topology, n_in: int, n_out: int) -> None:
    assume((n_in, n_out) != (1, 1) and (paths(topology) > 0).all())
    resized = resize(topology, n_in, n_out)
    assert (resized.n_in, resized.n_out, resized.depth) == (n_in, n_out, topology.depth)
    assert resized == resize(topology, n_in, n_out)
    if (n_in, n_out) == (topology.n_in, topology.n_out):
        assert resized is topology  # its hidden neurons without an edge, if it has any, are its own
        return
    for before, layer in zip(resized.layers, resized.layers[1:], strict=False):
        assert (before.fan_in > 0).all() and (layer.fan_out > 0).all()


def test_resize_keeps_copies_of_all_neurons_evenly_and_in_order() -> None:
    """Of a layer that joins every input with one output, the copies that stay show which they are copies of."""
    ends = Topology.from_masks([np.eye(4, dtype=int) + np.diag(np.ones(3, dtype=int), 1)])
    resized = resize(ends, 10, 12)  # three copies of each output, and of the inputs two or three
    first = resized.layers[0].mask() > 0
    groups = [first[:, 3 * number : 3 * number + 3].any(axis=1) for number in range(4)]
    only_first = groups[0].nonzero()[0]
    assert list(only_first) == [0, 1]
    assert [int(group.sum()) for group in groups] == [2, 5, 5, 5]


def test_resize_to_fewer_and_to_the_same() -> None:
    topology = butterfly(32, 12)
    assert resize(topology, 32, 32) is topology
    smaller = resize(topology, 20, 32)
    assert (smaller.n_in, smaller.n_out, smaller.is_connected) == (20, 32, True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda topology: lift(topology, 0), "k is 0"),
        (lambda topology: lift(topology, 2.5), "k is 2.5"),
        (lambda topology: lift(topology, 2, -1), "seed is -1"),
        (lambda topology: lift(topology, 1 << 18), "k times the widest layer is 2097152"),
        (lambda topology: resize(topology, 0, 4), "n_in is 0"),
        (lambda topology: resize(topology, 4, 1 << 21), "n_out is 2097152"),
    ],
)
def test_inadmissible_arguments(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(butterfly(8, 3))  # type: ignore[operator]


def test_the_names_stay_functions_whatever_is_imported() -> None:
    import topologies.lift

    assert callable(topologies.lift) and topologies.lift is lift
