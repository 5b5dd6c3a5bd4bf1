"""The matrix of a cascade against dense masks multiplied out, and its factors against the matrix's own differences."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.evaluators.random_topologies import topologies
from topologies import Topology
from topologies.product import factors, gram, product, with_ones

fast = settings(max_examples=30, deadline=None)


def multiplied_out(topology: Topology, trainable: NDArray[np.float64]) -> NDArray[np.float64]:
    """The masked layers one after the other; weights fill a mask's trainable entries by target, then source."""
    result, left = np.eye(topology.n_in), trainable
    for mask in topology.masks():
        by_target = (mask.T == 2).astype(float)
        count = int((mask == 1).sum())
        by_target[mask.T == 1], left = left[:count], left[count:]
        result = result @ by_target.T
    return result


def derivatives(topology: Topology, trainable: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the matrix by every weight, ``(n_trainable, n_in, n_out)``: exact, since it is linear in each."""
    steps = np.eye(trainable.size)
    found = [multiplied_out(topology, trainable + step) - multiplied_out(topology, trainable) for step in steps]
    return np.array(found).reshape(-1, topology.n_in, topology.n_out)


@fast
@given(topologies(5), st.integers(0, 2**32 - 1))
def test_the_matrix_is_that_of_the_masks(topology: Topology, seed: int) -> None:
    weights = np.random.default_rng(seed).normal(size=topology.n_trainable)
    np.testing.assert_allclose(
        product(topology, with_ones(topology, weights)), multiplied_out(topology, weights), rtol=1e-12, atol=1e-12
    )


@fast
@given(topologies(4), st.integers(0, 2**32 - 1))
def test_an_edge_moves_the_matrix_by_what_stands_before_and_after_it(topology: Topology, seed: int) -> None:
    weights = np.random.default_rng(seed).normal(size=topology.n_trainable)
    expected = derivatives(topology, weights)
    before, after = factors(topology, with_ones(topology, weights), np.eye(topology.n_in), np.eye(topology.n_out))
    np.testing.assert_allclose(before[:, :, None] * after[:, None, :], expected, rtol=1e-9, atol=1e-9)
    flat = expected.reshape(len(expected), topology.n_in * topology.n_out)
    np.testing.assert_allclose(gram(topology, with_ones(topology, weights)), flat @ flat.T, rtol=1e-8, atol=1e-8)


@fast
@given(topologies(5), st.integers(0, 2**32 - 1))
def test_residues_are_carried_as_residues(topology: Topology, seed: int) -> None:
    draw = np.random.default_rng(seed)
    weights = [draw.integers(97, size=layer.n_edges) for layer in topology.layers]
    rows, columns = (draw.integers(97, size=(width, 3)) for width in (topology.n_in, topology.n_out))
    plain = factors(topology, weights, rows, columns)
    reduced = factors(topology, weights, rows, columns, lambda values: values % 97)
    assert all(np.array_equal(one % 97, other % 97) for one, other in zip(plain, reduced, strict=True))
