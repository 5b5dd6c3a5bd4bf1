"""Tangent rank: the exact values of section 7, its bounds, and a plain Jacobian for small topologies."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators import ConstraintMatching, Fidelity, Split, TangentRank
from evaluators.controllability.flow import flow_bound
from evaluators.proxies.tangent_rank import Spectrum, greatest_rank
from evaluators.rng import generator
from tests.evaluators.random_topologies import topologies
from topologies import Topology, butterfly, clos, dense, hypercube, low_rank, parallel_butterfly, random_regular, torus
from topologies.initialise import initial_weights

fast = settings(max_examples=30, deadline=None)


def rank_of(topology: Topology) -> int:
    return TangentRank().analyse(topology)


def jacobian(topology: Topology, weights: list[np.ndarray]) -> np.ndarray:
    """Derivatives of all entries by all trainable weights, one edge after the other: ``(edges, n_in * n_out)``."""
    matrices = []
    for layer, values in zip(topology.layers, weights, strict=True):
        matrix = np.zeros((layer.n_in, layer.n_out), dtype=values.dtype)
        matrix[layer.sources, layer.targets] = values
        matrices.append(matrix)
    rows = []
    for place, layer in enumerate(topology.layers):
        for source, target in zip(layer.sources[layer.trainable], layer.targets[layer.trainable], strict=True):
            nudge = np.zeros_like(matrices[place])
            nudge[source, target] = 1
            product = np.eye(topology.n_in, dtype=nudge.dtype)
            for other, matrix in enumerate(matrices):
                product = product @ (nudge if other == place else matrix)
            rows.append(product.ravel())
    return np.array(rows).reshape(len(rows), topology.n_in * topology.n_out)


def exact_rank(matrix: np.ndarray) -> int:
    """Rank over the rationals, by elimination."""
    rows = [[Fraction(int(value)) for value in row] for row in matrix]
    rank = 0
    for column in range(matrix.shape[1]):
        pivot = next((row for row in range(rank, len(rows)) if rows[row][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for row in range(rank + 1, len(rows)):
            factor = rows[row][column] / rows[rank][column]
            if factor:
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[rank], strict=True)]
        rank += 1
    return rank


class TestExactValues:
    @pytest.mark.parametrize(
        ("topology", "rank"),
        [
            (butterfly(32, 18, skip=False), 608),
            (hypercube(32, 6, skip=False), 992),
            (torus((8, 4), 7, skip=False), 928),
            (clos(32, 8, 9, 8, skip=False), 1008),
            (low_rank(32, 32, 18, skip=False), 18 * (64 - 18)),
            (butterfly(32, 18), 576),
            (hypercube(32, 6), 960),
            (torus((8, 4), 7), 896),
            (clos(32, 8, 9, 8), 976),
            (low_rank(32, 32, 18), 828),
            (clos(32, 16, 4, 16), 1024),
        ],
    )
    def test_at_32(self, topology: Topology, rank: int) -> None:
        assert rank_of(topology) == rank

    @pytest.mark.parametrize(
        ("n_in", "n_out", "rank"), [(6, 6, 2), (5, 9, 3), (9, 4, 1), (4, 4, 4), (7, 3, 5)], ids=str
    )
    def test_matrices_of_bounded_rank_have_the_textbook_dimension(self, n_in: int, n_out: int, rank: int) -> None:
        kept = min(rank, n_in, n_out)
        assert rank_of(low_rank(n_in, n_out, rank, skip=False)) == kept * (n_in + n_out - kept)

    def test_one_layer_sets_each_of_its_entries(self) -> None:
        mask = np.random.default_rng(0).integers(0, 2, (9, 14))
        assert rank_of(Topology.from_masks([mask])) == mask.sum()
        assert rank_of(dense(12, 5)) == 60

    @pytest.mark.parametrize(
        "build", [butterfly, hypercube, lambda n, depth, skip: torus((4, n // 4), depth, skip=skip)]
    )
    def test_without_skips_it_is_the_controllable_ratios_and_a_magnitude_an_output(self, build) -> None:  # type: ignore[no-untyped-def]
        bare, skipped = build(16, 6, skip=False), build(16, 6, skip=True)
        assert rank_of(bare) == flow_bound(skipped).total + 16

    def test_a_diagonal_layer_gives_the_magnitudes_back(self) -> None:
        assert rank_of(clos(12, 3, 2, 3, diagonal=True)) == rank_of(clos(12, 3, 2, 3, skip=False))
        assert rank_of(butterfly(16, 6, diagonal=True)) == rank_of(butterfly(16, 6)) + 16

    @fast
    @given(topologies(4, 4), st.integers(0, 2**32 - 1))
    def test_against_rational_arithmetic(self, topology: Topology, seed: int) -> None:
        draw = np.random.default_rng(seed)
        tries = [draw.integers(1, 10**6, one.n_edges) for one in topology.layers]
        weights = [np.where(one.trainable, t, 1) for one, t in zip(topology.layers, tries, strict=True)]
        assert exact_rank(jacobian(topology, [w.astype(object) for w in weights])) == rank_of(topology)


class TestBounds:
    @fast
    @given(topologies(6))
    def test_no_more_than_scales_matching_and_entries_allow(self, topology: Topology) -> None:
        rank = rank_of(topology)
        assert rank <= greatest_rank(topology) <= min(topology.n_trainable, topology.n_in * topology.n_out)
        assert rank <= ConstraintMatching().analyse(topology).count

    @fast
    @given(topologies(6))
    def test_no_sub_cascade_holds_more_than_its_own_entries(self, topology: Topology) -> None:
        rank, edges = rank_of(topology), [layer.n_trainable for layer in topology.layers]
        for start in range(topology.depth):
            for end in range(start + 1, topology.depth + 1):
                outside = sum(edges) - sum(edges[start:end])
                assert rank <= outside + topology.widths[start] * topology.widths[end]

    @fast
    @given(topologies(6))
    def test_from_outputs_to_inputs_it_is_the_same(self, topology: Topology) -> None:
        assert rank_of(Topology.from_masks([mask.T for mask in reversed(topology.masks())])) == rank_of(topology)

    @pytest.mark.parametrize(
        ("topology", "bound"),
        [
            (butterfly(32, 18, skip=False), 1152 - 17 * 32),  # every hidden neuron has a scale of its own
            (butterfly(32, 18), 576),  # every constant path ends at an input and an output
            (low_rank(8, 8, 3, skip=False), 48 - 3),
            (dense(6, 4), 24),
        ],
    )
    def test_free_scales(self, topology: Topology, bound: int) -> None:
        assert greatest_rank(topology) == bound

    def test_a_scale_that_touches_no_end_is_free(self) -> None:
        """A chain of constants between trainable layers: one scale for both of its neurons, and one parameter lost."""
        topology = Topology.from_masks([[[1], [1]], [[2]], [[1, 1]]])
        assert greatest_rank(topology) == 4 - 1 == rank_of(topology)

    def test_edges_on_no_path_do_not_count(self) -> None:
        dead = Topology.from_masks([[[1, 1], [1, 1]], [[1], [0]]])
        assert greatest_rank(dead) == rank_of(dead) == 2

    def test_nothing_to_set(self) -> None:
        for masks in ([np.full((3, 3), 2)], [np.zeros((3, 2), int)], [[[1, 0]], [[0], [1]]]):
            topology = Topology.from_masks(masks)
            assert rank_of(topology) == greatest_rank(topology) == 0
            score = TangentRank().evaluate(topology, Fidelity(2, 1, (0.1,)), Split.SEARCH, 0)
            assert score.errors == (1.0, 1.0)


class TestScore:
    def test_a_dense_layer_has_error_0_and_others_the_share_they_cannot_set(self) -> None:
        fidelity = Fidelity(3, 1, (0.1,))
        assert TangentRank().evaluate(dense(6, 6), fidelity, Split.SEARCH, 0).errors == (0.0,) * 3
        assert TangentRank().evaluate(butterfly(32, 18), fidelity, Split.VALIDATION, 9).errors == (1 - 576 / 1024,) * 3

    def test_many_panels_of_elimination(self) -> None:
        """A rank far from a multiple of anything, in a Jacobian with many dependent rows between independent ones."""
        topology = low_rank(40, 30, 11, skip=False)
        assert rank_of(topology) == 11 * (70 - 11)


class TestSpectrum:
    @fast
    @given(topologies(4, 3), st.integers(0, 100))
    def test_eigenvalues_are_squared_singular_values_of_the_jacobian(self, topology: Topology, seed: int) -> None:
        spectrum = TangentRank().spectrum(topology, seed)
        weights = [values.astype(np.float64) for values in initial_weights(topology, generator(seed, "tangent"))]
        singular = np.linalg.svd(jacobian(topology, weights), compute_uv=False) ** 2
        expected = np.zeros(topology.n_trainable)
        expected[: singular.size] = singular[: topology.n_trainable]
        scale = expected.max(initial=1e-300)
        np.testing.assert_allclose(spectrum.eigenvalues, expected, atol=1e-6 * scale)

    def test_numbers_of_a_flat_and_of_a_steep_spectrum(self) -> None:
        flat = Spectrum(np.array([4.0, 4.0, 4.0, 0.0]), 3)
        assert flat.effective_rank == pytest.approx(3)
        assert flat.log_volume == pytest.approx(3 * np.log(2))
        steep = Spectrum(np.array([1.0, 1e-4]), 2)
        assert 1 < steep.effective_rank < 1.01 and steep.log_volume == pytest.approx(np.log(1e-2))

    def test_what_rounding_hides_counts_at_the_floor(self) -> None:
        hidden = Spectrum(np.array([1.0, 1e-30]), 2)
        assert hidden.log_volume == pytest.approx(np.log(hidden.floor) / 2)

    def test_a_single_layer_is_perfectly_conditioned(self) -> None:
        assert TangentRank().spectrum(dense(5, 5, skip=False)).effective_rank == pytest.approx(25)

    def test_depth_costs_condition(self) -> None:
        found = [TangentRank().spectrum(butterfly(16, depth)) for depth in (4, 8, 16)]
        shares = [one.effective_rank / one.rank for one in found]
        assert shares[0] > shares[1] > shares[2]

    def test_no_parameters(self) -> None:
        spectrum = TangentRank().spectrum(Topology.from_masks([np.full((3, 3), 2)]))
        assert (spectrum.rank, spectrum.effective_rank, spectrum.log_volume) == (0, 0.0, 0.0)

    def test_the_seed_draws_the_weights_and_the_rank_does_not_care(self) -> None:
        topology = parallel_butterfly(16, 2, 5)
        one, same, other = (TangentRank().spectrum(topology, seed) for seed in (1, 1, 2))
        assert np.array_equal(one.eigenvalues, same.eigenvalues) and one.rank == other.rank
        assert not np.allclose(one.eigenvalues, other.eigenvalues)

    def test_small_singular_values_are_lost_in_floats_but_not_in_the_rank(self) -> None:
        spectrum = TangentRank().spectrum(butterfly(32, 30, skip=False))
        visible = int((spectrum.eigenvalues > spectrum.floor).sum())
        assert visible < spectrum.rank

    def test_random_regular_at_the_papers_budget(self) -> None:
        topology = random_regular(32, 32, 32, 5, 5)
        assert rank_of(topology) == greatest_rank(topology) == 640
