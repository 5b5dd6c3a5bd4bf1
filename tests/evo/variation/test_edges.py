"""Bounds, and the choice of edges to add and take away."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.variation.bounds import Bounds
from evo.variation.edges import add, apportion, removable, step_size
from tests.evo.variation.admissible import FAST, SEEDS, butterfly, rng
from topologies.entries import CONSTANT, TRAINABLE


def test_bounds_admit_exactly_what_they_say() -> None:
    topology = butterfly(8, 3)
    assert Bounds(24, 3, 8, 48).admits(topology)
    assert not Bounds(23, 3, 8, 48).admits(topology)
    assert not Bounds(25, 3, 8, 48).admits(topology)
    assert not Bounds(24, 2, 8, 48).admits(topology)
    assert not Bounds(24, 3, 7, 48).admits(topology)
    assert not Bounds(24, 3, 8, 47).admits(topology)
    assert not Bounds(16, 3, 8, 48).admits(butterfly(8, 2)), "not connected"


@pytest.mark.parametrize("numbers", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (5, 1, 1, 4)])
def test_senseless_bounds_are_refused(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        Bounds(*numbers)


@given(
    total=st.integers(0, 200),
    layers=st.lists(st.tuples(st.floats(0.01, 100), st.integers(0, 50)), min_size=1, max_size=8),
)
@FAST
def test_apportioning_adds_up_and_keeps_to_the_room(total: int, layers: list[tuple[float, int]]) -> None:
    weights, room = zip(*layers, strict=True)
    given_out = apportion(total, weights, room)
    assert given_out.sum() == min(total, sum(room))
    assert (given_out >= 0).all()
    assert (given_out <= room).all()


def test_apportioning_is_proportional() -> None:
    assert apportion(100, [1, 2, 7], [100, 100, 100]).tolist() == [10, 20, 70]


@given(shape=st.tuples(st.integers(1, 12), st.integers(1, 12)), number=st.integers(0, 160), seed=SEEDS)
@FAST
def test_adding_fills_up_to_the_room_there_is(shape: tuple[int, int], number: int, seed: int) -> None:
    mask = np.zeros(shape, dtype=np.int8)
    mask[0] = CONSTANT
    room = mask.size - mask.shape[1]
    assert add(mask, number, rng(seed)) == min(number, room)
    assert (mask == TRAINABLE).sum() == min(number, room)
    assert (mask[0] == CONSTANT).all()


@given(seed=SEEDS)
@FAST
def test_removable_edges_leave_every_neuron_one(seed: int) -> None:
    mask = (rng(seed).random((9, 13)) < 0.3).astype(np.int8)
    mask[3, mask[3] > 0] = CONSTANT
    left = mask.copy()
    sources, targets = removable(mask, rng(seed))
    assert (mask[sources, targets] == TRAINABLE).all()
    left[sources, targets] = 0
    assert np.array_equal(left.any(axis=0), mask.any(axis=0))
    assert np.array_equal(left.any(axis=1), mask.any(axis=1))


def test_step_sizes_are_log_uniform() -> None:
    generator = rng()
    sizes = np.array([step_size(100, generator) for _ in range(4000)])
    assert (sizes.min(), sizes.max()) == (1, 100)
    for low, high in ((1, 10), (10, 101)):
        assert abs(np.mean((low <= sizes) & (sizes < high)) - np.log(high / low) / np.log(101)) < 0.03
