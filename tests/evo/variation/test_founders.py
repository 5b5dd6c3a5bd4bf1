"""What people would make where inputs have places, against the obvious way to make it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from evo.variation.bounds import has_no_bare_neuron
from evo.variation.founders import local_butterfly, patches, reordered, wire
from evo.variation.space import Space
from topologies.entries import CONSTANT, TRAINABLE
from topologies.families.butterfly import butterfly
from topologies.topology import Topology

GRID = Space.of_grid((8, 8))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def seen(topology: Topology) -> list[set[int]]:
    """Sources of every neuron of the last layer."""
    return [set(np.flatnonzero(column).tolist()) for column in topology.masks()[-1].T]


def test_patches_see_the_pixels_around_them() -> None:
    topology = patches(GRID, 64, 64 * 9, rng())
    assert (topology.depth, topology.n_trainable, topology.n_edges) == (1, 576, 576)
    around = {8 * (3 + down) + 4 + right for down in (-1, 0, 1) for right in (-1, 0, 1)}
    assert seen(topology)[8 * 3 + 4] == around


def test_what_is_left_over_makes_some_patches_larger() -> None:
    assert np.bincount(patches(GRID, 64, 64 * 5 + 10, rng()).layers[0].fan_in).tolist() == [0] * 5 + [54, 10]


@pytest.mark.parametrize(("n_out", "budget"), [(64, 320), (16, 64), (16, 100), (200, 900), (100, 6400), (7, 64)])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_patches_of_any_size_have_the_budget_and_no_bare_neuron(n_out: int, budget: int, share: float) -> None:
    topology = patches(GRID, n_out, budget, rng(), share)
    assert (topology.n_in, topology.n_out, topology.n_trainable) == (64, n_out, budget)
    assert has_no_bare_neuron(topology)
    assert topology == patches(GRID, n_out, budget, rng(), share)


def test_several_neurons_at_one_place_see_different_pixels_near_it() -> None:
    topology = patches(GRID, 128, 128 * 6, rng())
    sources = seen(topology)
    pairs = list(zip(sources[::2], sources[1::2], strict=True))
    assert np.mean([len(first & second) for first, second in pairs]) < 5
    far = [
        np.hypot(*np.subtract(divmod(one, 8), divmod(at // 2, 8))) for at, group in enumerate(sources) for one in group
    ]
    assert max(far) < 5


def test_a_mixture_has_its_share_of_near_edges() -> None:
    near, half, far = (seen(patches(GRID, 64, 64 * 8, rng(), share)) for share in (1.0, 0.5, 0.0))
    common = [np.mean([len(one & other) for one, other in zip(near, group, strict=True)]) for group in (half, far)]
    assert 4 <= common[0] < 5
    assert common[1] < 2


def test_inputs_and_outputs_are_reordered_alike() -> None:
    order = rng(4).permutation(16)
    first = butterfly(16, 4)
    again = reordered(first, order).masks()
    for mine, theirs in zip(again[1:-1], first.masks()[1:-1], strict=True):
        assert np.array_equal(mine, theirs)
    assert np.array_equal(again[0][order], first.masks()[0])
    assert np.array_equal(again[-1][:, order], first.masks()[-1])


def test_where_there_are_more_outputs_than_inputs_only_inputs_are_reordered() -> None:
    order = rng(4).permutation(12)
    first = butterfly(16, 4).crop(12, 16)
    again = reordered(first, order)
    assert again.layers[1:] == first.layers[1:]
    assert np.array_equal(again.masks()[0][order], first.masks()[0])


def test_a_local_butterfly_never_leaves_its_block() -> None:
    topology = local_butterfly(32, 32, 6, 3)
    paths = np.eye(32)
    for mask in topology.masks():
        assert (mask == CONSTANT).sum() == (mask == TRAINABLE).sum() == 32
        paths = np.minimum(1, paths @ (mask > 0))
    assert np.array_equal(paths, np.kron(np.eye(4), np.ones((8, 8))))


def test_a_local_butterfly_of_another_shape_has_its_ends() -> None:
    topology = local_butterfly(24, 40, 5, 2)
    assert (topology.n_in, topology.n_out, topology.depth) == (24, 40, 5)


@pytest.mark.parametrize("seed", range(6))
def test_wiring_has_the_edges_it_is_asked_for(seed: int) -> None:
    widths, constants, trainable = (64, 40, 80, 30), (40, 0, 30), (160, 300, 120)
    masks = [np.zeros(shape, dtype=np.int8) for shape in pairwise(widths)]
    wire(masks, GRID, constants, trainable, rng(seed))
    assert [int((mask == CONSTANT).sum()) for mask in masks] == list(constants)
    assert [int((mask == TRAINABLE).sum()) for mask in masks] == list(trainable)
    assert all(mask.any(axis=1).all() for mask in masks)
