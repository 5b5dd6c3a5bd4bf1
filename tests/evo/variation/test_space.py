"""Where inputs are: nearness is what it says it is, on grids, in data and after a cascade."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.variation.space import Space, paired
from topologies.topology import Topology


def smooth(n: int, examples: int = 3000, seed: int = 0) -> np.ndarray:
    """Examples whose inputs go together the more, the nearer their numbers are."""
    noise = np.random.default_rng(seed).normal(size=(examples, n + 8))
    return np.stack([noise[:, place : place + 8].sum(axis=1) for place in range(n)], axis=1)


def nearness(space: Space) -> np.ndarray:
    return space.profiles.astype(np.float64) @ space.profiles.T.astype(np.float64)


def test_the_nearness_of_data_is_the_squared_correlation() -> None:
    x = smooth(30)
    x[:, 7] *= -3  # neither scale nor sign matters
    expected = np.corrcoef(x, rowvar=False) ** 2
    assert np.abs(nearness(Space.of_data(x)) - expected).max() < 2e-3


def test_more_inputs_than_entries_of_a_profile_keep_their_neighbours() -> None:
    x = smooth(400, 2000)
    nearest = np.argsort(-nearness(Space.of_data(x)), axis=1)[:, :8]
    assert np.mean(np.abs(nearest - np.arange(400)[:, None]) <= 8) > 0.9


def test_inputs_that_never_change_are_near_nothing() -> None:
    x = smooth(10)
    x[:, [2, 5]] = 4.0
    space = Space.of_data(x)
    assert not space.profiles[[2, 5]].any()
    assert np.allclose(np.diag(nearness(space))[space.known], 1, atol=2e-3)
    assert space.known.tolist() == [0, 1, 3, 4, 6, 7, 8, 9]
    assert not {2, 5} & set(space.homes(10).tolist())


def test_data_that_never_change_make_a_space_without_nearness() -> None:
    space = Space.of_data(np.ones((20, 6)))
    assert not nearness(space).any()
    assert sorted(space.order.tolist()) == list(range(6))
    assert space.homes(3).tolist() == [0, 2, 4]


@pytest.mark.parametrize("shape", [(6, 9), (28, 28), (40,), (1, 12)])
def test_on_a_grid_the_nearest_are_the_least_distant(shape: tuple[int, ...]) -> None:
    space = Space.of_grid(shape)
    places = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1)
    for place in (0, len(places) // 2 + 1, len(places) - 1):
        distance = ((places - places[place]) ** 2).sum(axis=1)
        found = distance[np.argsort(-nearness(space)[place], kind="stable")[:12]]
        assert sorted(found.tolist()) == sorted(distance.tolist())[:12]


def test_the_channels_of_a_pixel_are_as_far_as_the_next_pixel() -> None:
    near = nearness(Space.of_grid((8, 8, 3))).reshape(8, 8, 3, 8, 8, 3)[4, 4]
    assert near[0, 4, 4, 2] == pytest.approx(near[0, 4, 4, 1], abs=2e-3)
    assert near[0, 4, 4, 2] == pytest.approx(near[0, 4, 5, 0], abs=2e-3)
    assert near[0, 4, 5, 1] < near[0, 4, 5, 0]


@pytest.mark.parametrize("shape", [(), (0, 4), (2, 2, 2, 2)])
def test_what_is_no_grid_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="is no grid"):
        Space.of_grid(shape)


def test_products_of_profiles_do_not_depend_on_the_order_of_addition() -> None:
    space = Space.of_data(smooth(60))
    there = space.profiles @ space.profiles.T
    back = space.profiles[:, ::-1].copy() @ space.profiles[:, ::-1].T.copy()
    assert np.array_equal(there, back)


def test_a_neuron_is_in_the_middle_of_its_sources() -> None:
    """Through two layers: the mean of what is seen, normalised, as computed in float64 from scratch."""
    space = Space.of_grid((4, 4))
    generator = np.random.default_rng(3)
    masks = [(generator.random(shape) < 0.4).astype(np.int8) for shape in ((16, 7), (7, 5))]
    masks[0][0], masks[1][0] = 1, 2
    expected = space.profiles.astype(np.float64)
    for mask in masks:
        expected = np.stack([expected[mask[:, target] > 0].mean(axis=0) for target in range(mask.shape[1])])
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    after = space.after(Topology.from_masks(masks))
    assert np.abs(after.profiles - expected).max() < 2e-3


def test_of_neurons_that_see_one_input_each_everything_stays_where_it_was() -> None:
    space = Space.of_grid((3, 3))
    order = np.random.default_rng(0).permutation(9)
    after = space.after(Topology.from_masks([np.eye(9, dtype=np.int8)[:, order]]))
    assert np.abs(after.profiles - space.profiles[order]).max() < 2e-3


# --- the order ------------------------------------------------------------------------------------------------


def slowly_paired(nearness: np.ndarray) -> list[int]:
    """The same by the book: look at all pairs of clusters, nearest first."""
    clusters = [[item] for item in range(len(nearness))]
    while len(clusters) > 1:
        merits = {
            (i, j): np.mean([nearness[a, b] for a in clusters[i] for b in clusters[j]])
            for i in range(len(clusters))
            for j in range(i + 1, len(clusters))
        }
        left, pairs = set(range(len(clusters))), []
        for i, j in sorted(merits, key=lambda pair: -merits[pair]):
            if {i, j} <= left:
                left -= {i, j}
                pairs.append(clusters[i] + clusters[j])
        clusters = pairs + [clusters[i] for i in sorted(left)]
    return clusters[0]


@given(n=st.integers(1, 21), seed=st.integers(0, 1000))
def test_the_order_is_that_of_greedy_pairing(n: int, seed: int) -> None:
    half = np.random.default_rng(seed).random((n, n))
    assert paired(half + half.T).tolist() == slowly_paired(half + half.T)


@given(n=st.integers(1, 40))
def test_equals_are_paired_too(n: int) -> None:
    assert sorted(paired(np.ones((n, n))).tolist()) == list(range(n))


def test_aligned_blocks_of_the_order_are_clusters() -> None:
    """Four groups of four inputs that share a cause, in a random order."""
    generator = np.random.default_rng(1)
    group = generator.permutation(np.repeat(np.arange(4), 4))
    causes = generator.normal(size=(2000, 4))
    order = Space.of_data(causes[:, group] + generator.normal(size=(2000, 16))).order
    assert [len(set(group[order[start : start + 4]])) for start in range(0, 16, 4)] == [1, 1, 1, 1]
