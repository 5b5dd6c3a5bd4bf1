"""The matrix-reconstruction task against what is known of it exactly (paper, section V)."""

from __future__ import annotations

import numpy as np
import pytest

from evaluators import Fidelity, MatrixReconstruction, Split
from evaluators.reconstruction.cpu import train
from evaluators.reconstruction.evaluator import start_of
from evaluators.reconstruction.schedule import one_cycle
from evaluators.reconstruction.targets import target
from topologies import (
    Topology,
    butterfly,
    clos,
    dense,
    hypercube,
    low_rank,
    parallel_butterfly,
    random_regular,
    torus,
)
from topologies.canonical import canonical, renumber
from topologies.measures import frozen_lower_bound

RATES = (0.03, 0.1, 0.3)


def targets(n_in: int, n_out: int, count: int) -> list[np.ndarray]:
    return [target(n_in, n_out, index, Split.SEARCH, 0).astype(np.float64) for index in range(count)]


@pytest.mark.parametrize(("n_in", "n_out", "rank"), [(16, 16, 3), (12, 20, 2), (20, 9, 4)])
def test_low_rank_reaches_the_eckart_young_residual_of_each_target(n_in: int, n_out: int, rank: int) -> None:
    trained = MatrixReconstruction().train(
        low_rank(n_in, n_out, rank, skip=False), Fidelity(4, 2500, RATES), Split.SEARCH, 0
    )
    singular = [np.linalg.svd(matrix, compute_uv=False) ** 2 for matrix in targets(n_in, n_out, 4)]
    residuals = [values[rank:].sum() / values.sum() for values in singular]
    np.testing.assert_allclose(trained.errors[trained.best], residuals, rtol=2e-3)
    assert (trained.errors >= np.array(residuals) * (1 - 1e-5)).all(), "no product of rank r does better"


def test_one_layer_leaves_exactly_the_energy_outside_its_mask() -> None:
    mask = np.random.default_rng(1).integers(0, 2, (9, 13))
    score = MatrixReconstruction().evaluate(Topology.from_masks([mask]), Fidelity(3, 800, RATES), Split.SEARCH, 0)
    outside = [np.square(matrix[mask == 0]).sum() / np.square(matrix).sum() for matrix in targets(9, 13, 3)]
    np.testing.assert_allclose(score.errors, outside, atol=1e-5)


def test_a_dense_layer_leaves_nothing() -> None:
    score = MatrixReconstruction().evaluate(dense(10, 10), Fidelity(3, 800, RATES), Split.SEARCH, 0)
    assert score.error < 1e-5


def test_one_edge_solves_one_entry_exactly() -> None:
    # inputs a, b -> one hidden neuron -> one output; only the edge from b trains: W_d = (1, w), Eq. 5 and 6
    topology = Topology.from_masks([[[2], [1]], [[2]]])
    score = MatrixReconstruction().evaluate(topology, Fidelity(4, 800, (0.1, 0.3)), Split.SEARCH, 0)
    exact = [(matrix[0, 0] - 1) ** 2 / np.square(matrix).sum() for matrix in targets(2, 1, 4)]
    np.testing.assert_allclose(score.errors, np.minimum(exact, 1), atol=1e-5)


REFERENCES = [
    (parallel_butterfly(32, 2, 10), 0.076),
    (random_regular(32, 32, 32, 5, 5), 0.077),
    (butterfly(32, 20), 0.094),
    (hypercube(32, 4), 0.099),
    (clos(32, 8, 6, 8), 0.113),
    (torus((8, 4), 5), 0.121),
]
"""Errors of 2000 steps of Adam with its usual betas, the best of rates 0.1, 0.3 and 0.6; known to 4 %."""


@pytest.mark.parametrize(("topology", "reference"), REFERENCES)
def test_reference_values_come_out_within_their_noise(topology: Topology, reference: float) -> None:
    topology, rates, count = canonical(topology), (0.1, 0.3, 0.6), 8
    goals = np.stack([target(32, 32, index, Split.SEARCH, 0) for index in range(count)])
    starts = np.stack([start_of(topology, index, Split.SEARCH, 0) for index in range(count)])
    usual = one_cycle(2000, warm_up=0.1, beta_1=0.9, beta_2=0.999)
    by_rate = [train(topology, starts, goals, np.full(count, rate), usual)[0] for rate in rates]
    errors = np.array(by_rate) / np.square(goals).sum((1, 2))
    best = errors[errors.mean(1).argmin()]
    assert abs(best.mean() - reference) < 0.04 * reference + 2 * best.std(ddof=1) / np.sqrt(count)


@pytest.mark.parametrize(("topology", "reference"), REFERENCES)
def test_our_own_schedule_ends_lower_than_the_references(topology: Topology, reference: float) -> None:
    score = MatrixReconstruction().evaluate(topology, Fidelity(8, 2000, (0.45, 1.0, 2.0)), Split.SEARCH, 0)
    assert score.error < reference


def test_frozen_entries_bound_the_error_from_below() -> None:
    topology = parallel_butterfly(32, 4, 5)
    bound = frozen_lower_bound(topology)
    score = MatrixReconstruction().evaluate(topology, Fidelity(8, 300, (0.1, 0.3)), Split.SEARCH, 0)
    assert bound * 0.9 < score.error < 0.7


def test_the_score_is_blind_to_the_numbering_of_hidden_neurons() -> None:
    topology = clos(12, 3, 3, 4)
    generator = np.random.default_rng(5)
    topology = canonical(topology)
    shuffled = renumber(butterfly(16, 6), [generator.permutation(16) for _ in range(5)])
    fidelity = Fidelity(2, 30, (0.1,))
    task = MatrixReconstruction()
    assert task.evaluate(shuffled, fidelity, Split.SEARCH, 3) == task.evaluate(
        butterfly(16, 6), fidelity, Split.SEARCH, 3
    )


def test_more_targets_repeat_the_first_ones_bit_for_bit() -> None:
    task, topology = MatrixReconstruction(), butterfly(16, 6)
    few = task.train(topology, Fidelity(2, 40, (0.1, 0.3)), Split.SEARCH, 0).errors
    many = task.train(topology, Fidelity(8, 40, (0.1, 0.3)), Split.SEARCH, 0).errors
    assert np.array_equal(many[:, :2], few)


def test_splits_and_seeds_draw_different_targets() -> None:
    drawn = [target(4, 4, 0, split, seed) for split in Split for seed in (0, 1)]
    assert len({matrix.tobytes() for matrix in drawn}) == len(drawn)


def test_a_diverged_target_scores_as_the_zero_matrix_does() -> None:
    score = MatrixReconstruction().evaluate(butterfly(8, 40), Fidelity(4, 3, (1e9,)), Split.SEARCH, 0)
    assert all(0 < error <= 1 for error in score.errors)
    hopeless = Topology.from_masks([np.full((6, 6), 2), np.full((6, 6), 2)])
    assert MatrixReconstruction().evaluate(hopeless, Fidelity(2, 3, (0.1,)), Split.SEARCH, 0).errors == (1.0, 1.0)


def test_the_rate_is_chosen_per_topology() -> None:
    task = MatrixReconstruction()
    trained = task.train(butterfly(32, 20), Fidelity(4, 200, (0.001, 0.2, 3.0)), Split.SEARCH, 0)
    assert trained.rates[trained.best] == 0.2
    score = task.evaluate(butterfly(32, 20), Fidelity(4, 200, (0.001, 0.2, 3.0)), Split.SEARCH, 0)
    assert score.errors == tuple(trained.errors[trained.best])


@pytest.mark.parametrize(
    "wrong", [{"targets": 0}, {"steps": 0}, {"rates": ()}, {"rates": (0.0,)}, {"rates": (float("nan"),)}]
)
def test_a_senseless_fidelity_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="at least"):
        Fidelity(**({"targets": 1, "steps": 1, "rates": (0.1,)} | wrong))  # type: ignore[arg-type]
