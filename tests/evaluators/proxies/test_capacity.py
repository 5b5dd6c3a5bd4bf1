"""Capacity against closed forms, an explicit Jacobian, and reconstruction errors that are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import spearmanr

from evaluators.proxies.capacity import LOUDNESS, RESOLUTION, Capacity, capacity, magnitude, predict
from evaluators.task import Fidelity, Split
from tests.evaluators.random_topologies import topologies
from topologies import Topology, low_rank
from topologies.entries import CONSTANT, TRAINABLE
from topologies.expression import parse


def ridge(parameters: int, entries: int) -> float:
    return RESOLUTION * max(1 - parameters / entries, 0.02)


def product(masks: Sequence[NDArray[np.int8]], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cascade's matrix; ``weights`` go to the trainable entries of the masks, one after the other."""
    result, used = np.eye(masks[0].shape[0]), 0
    for mask in masks:
        matrix = (mask == CONSTANT).astype(np.float64)
        here = mask == TRAINABLE
        matrix[here] = weights[used : used + here.sum()]
        used += int(here.sum())
        result = result @ matrix
    return result


@pytest.mark.parametrize(("n_in", "n_out"), [(4, 4), (3, 7), (1, 5)])
def test_a_dense_layer_moves_every_entry_by_itself(n_in: int, n_out: int) -> None:
    topology = Topology.from_masks([np.ones((n_in, n_out))])
    assert magnitude(topology) == pytest.approx(np.sqrt(LOUDNESS))
    assert capacity(topology) == pytest.approx(np.log1p(1 / ridge(n_in * n_out, n_in * n_out)))


def test_a_sparse_layer_has_the_capacity_of_its_edges_and_pays_for_the_others() -> None:
    mask = np.array([[1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 1, 0]])
    topology = Topology.from_masks([mask])
    expected = 0.5 * np.log1p(1 / ridge(6, 12))
    assert capacity(topology) == pytest.approx(expected)
    assert predict(topology) == pytest.approx(20 * 0.5 - expected)


@pytest.mark.parametrize("n", [2, 5, 8])
def test_rank_one(n: int) -> None:
    """2n weights of size √10 in one scale too many: G is 10n times the identity but for the eigenvalues 20n and 0."""
    expected = ((2 * n - 2) * np.log1p(10 * n / ridge(2 * n, n * n)) + np.log1p(20 * n / ridge(2 * n, n * n))) / n**2
    assert capacity(low_rank(n, n, 1, skip=False)) == pytest.approx(expected)


@given(kinds=st.lists(st.sampled_from([0, 1, 1, 2]), min_size=2, max_size=10), split=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_a_star_against_its_explicit_jacobian(kinds: list[int], split: int) -> None:
    """All inputs and outputs meet in one neuron: signs only turn rows and columns, and any draw has one volume."""
    split = min(split, len(kinds) - 1)
    masks = [np.array(kinds[:split], dtype=np.int8)[:, None], np.array(kinds[split:], dtype=np.int8)[None, :]]
    topology = Topology.from_masks(masks)
    parameters, entries = topology.n_trainable, topology.n_in * topology.n_out
    ones = np.ones(parameters)

    def energy(log_square: float) -> float:
        loud = product(masks, ones * np.exp(log_square / 2))
        return float(np.sum(loud**2) - np.sum(product(masks, 0 * ones) ** 2) - LOUDNESS * entries)

    movable = product(masks, 2 * ones) != product(masks, ones)
    size = float(np.exp(brentq(energy, -20, 30) / 2)) if movable.any() else 1.0
    assert magnitude(topology) == pytest.approx(size)
    slopes = [
        product(masks, size * ones + step) / 2 - product(masks, size * ones - step) / 2 for step in np.eye(parameters)
    ]
    jacobian = np.array(slopes).reshape(parameters, entries)  # exact: the product is linear in each weight
    _, log_det = np.linalg.slogdet(np.eye(parameters) + jacobian @ jacobian.T / ridge(parameters, entries))
    assert capacity(topology) == pytest.approx(log_det / entries)


def test_the_magnitude_makes_the_product_as_loud_as_it_says() -> None:
    masks = parse("butterfly(4, 2)").masks()
    fixed = product(masks, np.zeros(8))
    signs = 1.0 - 2 * (np.arange(256)[:, None] >> np.arange(8) & 1)
    size = magnitude(Topology.from_masks(masks))
    energies = [np.mean((product(masks, size * row) - fixed) ** 2) for row in signs]
    assert np.mean(energies) == pytest.approx(LOUDNESS)


@pytest.mark.parametrize(
    ("masks", "frozen"),
    [
        ([[[2, 0], [0, 2]], [[2, 0], [0, 2]]], 1 + 0.5),  # the identity: N entries, of which half are 1
        ([[[0, 0], [0, 0]]], 1.0),
        ([[[0, 1], [0, 0]], [[2, 2], [0, 0]]], 1.0),  # the trainable edge is on no path
    ],
)
def test_without_trainable_edges_on_a_path_only_what_is_frozen_counts(
    masks: list[list[list[int]]], frozen: float
) -> None:
    topology = Topology.from_masks(masks)
    assert magnitude(topology) == 1.0
    assert capacity(topology) == 0.0
    assert predict(topology) == pytest.approx(20 * frozen)


@given(topology=topologies())
@settings(max_examples=50, deadline=None)
def test_any_topology_has_a_score_between_0_and_1_in_the_order_of_the_prediction(topology: Topology) -> None:
    score = Capacity().evaluate(topology, Fidelity(3, 1, (1.0,)), Split.SEARCH, 0)
    assert len(score.errors) == 3
    assert 0 <= score.error <= 1
    assert capacity(topology) >= 0
    assert (score.error < 0.5) == (predict(topology) < 0)


def test_deep_cascades_stay_in_the_range_of_floats() -> None:
    pairs = Topology.from_masks([np.ones((2, 2), dtype=np.int8)] * 2000)  # 2^2001 paths, a magnitude near 1/√2
    assert magnitude(pairs) == pytest.approx(np.sqrt(0.5), rel=0.01)
    assert np.isfinite(predict(Topology.from_masks([np.ones((2, 2), dtype=np.int8)] * 100)))


KNOWN = {
    "random_regular(32, 32, 32, 5, 5)": 0.077,
    "parallel_butterfly(32, 2, 10)": 0.076,
    "butterfly(32, 20)": 0.094,
    "hypercube(32, 4)": 0.099,
    "clos(32, 8, 6, 8)": 0.113,
    "torus((8, 4), 5)": 0.121,
    "low_rank(32, 32, 10)": 0.283,
    "monarch(32, 8)": 0.59,
    "parallel_butterfly(32, 4, 5)": 0.63,
}
"""Measured reconstruction errors of members of about 640 parameters."""


def test_members_rank_as_their_known_errors_do() -> None:
    predicted = [predict(parse(text)) for text in KNOWN]
    assert spearmanr(predicted, list(KNOWN.values())).statistic > 0.85


def test_frozen_entries_decide_where_capacity_cannot() -> None:
    """The trap of aligned constants: the diagonal of four copies of depth log2 n is fixed at 4."""
    trap, other = parse("parallel_butterfly(32, 4, 5)"), parse("parallel_butterfly(32, 2, 10)")
    assert predict(trap) > predict(other) + 5
