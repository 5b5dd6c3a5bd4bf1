"""First weights against closed forms and against what they promise: a level variance through a deep cascade."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from topologies.initialise import bounds, initial_weights
from topologies.layer import Layer
from topologies.topology import Topology

fast = settings(max_examples=40, deadline=None)


def butterfly(n: int, depth: int, skip: bool) -> Topology:
    """Neuron i and its partner across one digit; with ``skip`` the edge from i to itself is constant."""
    masks = []
    for level in range(depth):
        mask = np.eye(n, dtype=int) * (2 if skip else 1)
        mask[np.arange(n), np.arange(n) ^ (1 << level % int(math.log2(n)))] = 1
        masks.append(mask)
    return Topology.from_masks(masks)


def random_masks(seed: int, values: tuple[int, ...] = (0, 1, 2)) -> list[NDArray[np.int_]]:
    generator = np.random.default_rng(seed)
    widths = generator.integers(1, 7, size=generator.integers(2, 6))
    return [generator.choice(values, size=shape) for shape in pairwise(widths)]


@fast
@given(st.integers(0, 2**32))
def test_without_constants_it_is_equation_2(seed: int) -> None:
    masks = random_masks(seed, values=(0, 1))
    for mask, bound in zip(masks, bounds(Topology.from_masks(masks)), strict=True):
        n_in, n_out = mask.shape
        density = mask.mean()  # 1 - s in the paper
        assert bound == pytest.approx(math.sqrt(6 / ((n_in + n_out) * density)) if density else 0.0)


@fast
@given(st.integers(0, 2**32))
def test_layers_with_constants_share_their_allowance(seed: int) -> None:
    masks = random_masks(seed)
    with_constants = sum((mask == 2).any() for mask in masks)
    for mask, bound in zip(masks, bounds(Topology.from_masks(masks)), strict=True):
        trainable = mask == 1
        fans = trainable.sum(axis=0).mean() + trainable.sum(axis=1).mean()
        share = with_constants if (mask == 2).any() else 1
        assert bound == pytest.approx(math.sqrt(6 / (fans * share)) if trainable.any() else 0.0)


@pytest.mark.parametrize(
    ("topology", "expected"),
    [
        (butterfly(8, 5, skip=False), [math.sqrt(6 / 4)] * 5),
        (butterfly(8, 5, skip=True), [math.sqrt(6 / (2 * 5))] * 5),
        (Topology.from_masks([np.ones((30, 20))]), [math.sqrt(6 / 50)]),  # dense: Xavier's own
        (Topology.from_masks([[[1, 1]], [[2, 1], [1, 2]], [[2], [2]]]), [math.sqrt(2), math.sqrt(1.5), 0.0]),
    ],
)
def test_bounds_worked_by_hand(topology: Topology, expected: list[float]) -> None:
    assert bounds(topology) == pytest.approx(expected)


@fast
@given(st.integers(0, 2**32))
def test_constants_are_one_and_the_rest_within_bounds(seed: int) -> None:
    topology = Topology.from_masks(random_masks(seed))
    weights = initial_weights(topology, np.random.default_rng(seed))
    assert [array.shape for array in weights] == [(layer.n_edges,) for layer in topology.layers]
    for array, layer, bound in zip(weights, topology.layers, bounds(topology), strict=True):
        assert array.dtype == np.float32
        assert (array[~layer.trainable] == 1.0).all()
        assert (np.abs(array[layer.trainable]) <= np.float32(bound)).all()


def test_the_draw_is_uniform() -> None:
    topology = Topology.from_masks([np.ones((200, 300))])
    (weights,), (bound,) = initial_weights(topology, np.random.default_rng(0)), bounds(topology)
    quantiles = np.quantile(weights, np.linspace(0, 1, 11))
    assert quantiles == pytest.approx(np.linspace(-bound, bound, 11), abs=0.02 * bound)


def test_the_generator_alone_decides_the_draw() -> None:
    topology = butterfly(8, 3, skip=True)
    generator = np.random.default_rng(1)
    first, second = initial_weights(topology, generator), initial_weights(topology, generator)
    again = initial_weights(topology, np.random.default_rng(1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_layers_are_drawn_inputs_first() -> None:
    """A cascade starts with the weights of its own first layers, so adding a layer behind changes none of them."""
    short, long = butterfly(8, 2, skip=False), butterfly(8, 3, skip=False)
    drawn = [initial_weights(topology, np.random.default_rng(3)) for topology in (short, long)]
    assert all(np.array_equal(a, b) for a, b in zip(*drawn, strict=False))


def gain(topology: Topology, draws: int = 300) -> float:
    """Variance of the outputs over that of the inputs, the mean over draws of the first weights."""
    generator = np.random.default_rng(0)
    gains = []
    for _ in range(draws):
        values = generator.standard_normal((8, topology.n_in))
        before = np.mean(values**2)
        for layer, weights in zip(topology.layers, initial_weights(topology, generator), strict=True):
            values = values @ dense(layer, weights)
        gains.append(np.mean(values**2) / before)
    return float(np.mean(gains))


def dense(layer: Layer, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    matrix = np.zeros((layer.n_in, layer.n_out))
    matrix[layer.sources, layer.targets] = weights
    return matrix


def test_without_constants_the_variance_stays_level() -> None:
    assert gain(butterfly(32, 18, skip=False)) == pytest.approx(1.0, rel=0.25)


def test_xavier_that_ignores_the_mask_leaves_a_deep_cascade_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why equation 2 is needed: r = sqrt(6 / (n_in + n_out)) loses a factor of 16 in each layer of width 32."""
    monkeypatch.setattr("topologies.initialise._bound", lambda layer, _: math.sqrt(6 / (layer.n_in + layer.n_out)))
    assert gain(butterfly(32, 18, skip=False)) < 16.0**-16


@pytest.mark.parametrize("depth", [6, 18, 30])
def test_with_constants_the_variance_is_bounded_at_any_depth(depth: int) -> None:
    """Every layer multiplies it by 1 + 1/depth, which is below e in the end; equation 2 would give 1.5 ** depth."""
    assert gain(butterfly(32, depth, skip=True)) == pytest.approx((1 + 1 / depth) ** depth, rel=0.2)
