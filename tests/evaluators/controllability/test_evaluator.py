"""Controllability: every constraint of section VI holds, and Fig. 5 comes out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators import Controllability, Fidelity, Split
from evaluators.controllability.exact import fairest, least_loss
from evaluators.controllability.model import Control, matrix, uniform
from evaluators.controllability.training import Assignment, train
from tests.evaluators.random_topologies import topologies
from topologies import Topology, butterfly, clos, dense, hypercube, low_rank, random_regular, torus
from topologies.canonical import renumber

fast = settings(max_examples=25, deadline=None)

FIGURE_5 = {
    "hypercube": (hypercube(32, 6), 960),
    "clos": (clos(32, 8, 9, 8), 976),
    "butterfly": (butterfly(32, 18), 576),
    "torus": (torus((8, 4), 7), 896),
}


def seen_inputs(topology: Topology) -> list[np.ndarray]:
    """Which inputs have a path to each neuron after each layer: ``(n_out, n_in)`` bool, by multiplying masks."""
    found, product = [], np.eye(topology.n_in)
    for mask in topology.masks():
        product = ((product @ (mask > 0)) > 0).astype(float)
        found.append(product.T > 0)
    return found


def caps(topology: Topology) -> list[np.ndarray]:
    """The control that each neuron can add (Eq. 28)."""
    return [
        np.array([max(0, min((column == 1).sum(), (column > 0).sum() - 1)) for column in mask.T])
        for mask in topology.masks()
    ]


def allowed(seen: np.ndarray, by_pair: bool) -> np.ndarray:
    """Where neurons can have control: pairs of different inputs that they see; summed out, inputs seen with another."""
    if not by_pair:
        return seen & (seen.sum(axis=1) > 1)[:, None]
    return seen[:, :, None] & seen[:, None, :] & ~np.eye(seen.shape[1], dtype=bool)


def uniform_assignments(topology: Topology, by_pair: bool) -> list[Assignment]:
    """What the uniform reading means: cap over number of pairs, to one pair at most 1; one over a source's fan-out."""
    found = []
    layers = zip(
        topology.layers, seen_inputs(topology), caps(topology), uniform(topology, by_pair=by_pair), strict=True
    )
    for layer, seen, cap, control in layers:
        column = (-1, *[1] * (control.ndim - 1))
        places = allowed(seen, by_pair)
        added = places * (cap / np.maximum(places.reshape(len(cap), -1).sum(axis=1), 1)).reshape(column)
        ratio = (1 / layer.fan_out[layer.sources]).reshape(column)
        found.append(Assignment(added.clip(0, 1) if by_pair else added, ratio, control))
    return found


def check(topology: Topology, assignments: list[Assignment], by_pair: bool, tol: float) -> None:
    """Every constraint on control (paper, section VI); those on single pairs only where pairs are kept apart."""
    per_neuron = (topology.n_in,) * (2 if by_pair else 1)
    before = np.zeros((topology.n_in, *per_neuron))  # Eq. 10
    everything = zip(topology.layers, seen_inputs(topology), caps(topology), assignments, strict=True)
    for layer, seen, cap, (delta, ratio, control) in everything:
        others = tuple(range(1, control.ndim))
        forbidden = ~allowed(seen, by_pair)
        assert delta.min(initial=0) >= 0 and not delta[forbidden].any()
        assert (delta.sum(axis=others) <= cap + tol).all(), "Eq. 13 and 28"
        assert ratio.min(initial=0) >= 0 and ratio.max(initial=0) <= 1 + tol
        leaving = np.zeros((layer.n_in, *ratio.shape[1:]))
        np.add.at(leaving, layer.sources, ratio)
        assert (leaving <= 1 + tol).all(), "Eq. 17"
        arriving = np.zeros_like(control)
        np.add.at(arriving, layer.targets, ratio * before[layer.sources])
        assert (control <= arriving + delta + tol).all(), "Eq. 12, 18 and 27"
        assert control.min(initial=0) >= 0 and not control[forbidden].any()
        assert (control.sum(axis=others) <= np.maximum(seen.sum(axis=1) - 1, 0) + tol).all(), "Eq. 11"
        if by_pair:
            assert delta.max(initial=0) <= 1 + tol and control.max(initial=0) <= 1 + tol
            assert (control + control.swapaxes(1, 2) <= 1 + tol).all(), "Eq. 9"
        before = control


both_forms = pytest.mark.parametrize("by_pair", [True, False], ids=["by pairs", "summed"])


@both_forms
class TestConstraints:
    @fast
    @given(topology=topologies(6))
    def test_uniform(self, by_pair: bool, topology: Topology) -> None:
        check(topology, uniform_assignments(topology, by_pair), by_pair, 1e-12)

    @pytest.mark.parametrize("reading", ["trained", "fair"])
    @settings(max_examples=4, deadline=None)
    @given(together=st.lists(topologies(6), min_size=1, max_size=3))
    def test_trained_and_fair(self, by_pair: bool, reading: str, together: list[Topology]) -> None:
        together = [topology for topology in together if topology.n_in == together[0].n_in]
        for topology, layers in zip(together, train(together, reading, by_pair, 15), strict=True):  # type: ignore[arg-type]
            check(topology, layers, by_pair, 1e-9)

    @pytest.mark.parametrize("name", FIGURE_5)
    def test_figure_5_uniform(self, by_pair: bool, name: str) -> None:
        topology, _ = FIGURE_5[name]
        check(topology, uniform_assignments(topology, by_pair), by_pair, 1e-9)

    @pytest.mark.parametrize("reading", ["trained", "fair"])
    def test_figure_5_trained(self, by_pair: bool, reading: str) -> None:
        together = [topology for topology, _ in FIGURE_5.values()]
        for topology, layers in zip(together, train(together, reading, by_pair, 2), strict=True):  # type: ignore[arg-type]
            check(topology, layers, by_pair, 1e-9)


class TestFigure5:
    @pytest.mark.parametrize("name", FIGURE_5)
    @pytest.mark.parametrize("by_pair", [True, False])
    def test_totals_are_the_trainable_edges(self, name: str, by_pair: bool) -> None:
        topology, edges = FIGURE_5[name]
        control = Controllability(by_pair=by_pair).analyse(topology)
        assert control.total == pytest.approx(edges) == topology.n_trainable
        assert control.mean == pytest.approx(edges / 1024)

    @pytest.mark.parametrize("reading", ["uniform", "trained"])
    @both_forms
    def test_only_torus_and_hypercube_are_unfair_and_the_torus_more(self, reading: str, by_pair: bool) -> None:
        evaluator = Controllability(reading, by_pair=by_pair, steps=3)  # type: ignore[arg-type]
        controls = evaluator.analyse_many([topology for topology, _ in FIGURE_5.values()])
        found = {name: control.unfairness for name, control in zip(FIGURE_5, controls, strict=True)}
        assert found["clos"] < 1e-6 and found["butterfly"] < 1e-6
        assert 0.05 < found["hypercube"] < found["torus"] / 2

    def test_there_is_no_total_left_to_train_for(self) -> None:
        """All four totals are the most that there is, so Eq. 20 leaves the uniform start where it is."""
        topology, _ = FIGURE_5["torus"]
        before, after = (Controllability(reading, steps=5).analyse(topology) for reading in ("uniform", "trained"))  # type: ignore[arg-type]
        np.testing.assert_allclose(after.matrix, before.matrix, atol=1e-5)

    def test_in_the_fair_reading_unfairness_vanishes(self) -> None:
        controls = Controllability("fair", by_pair=False, steps=60).analyse_many(
            [topology for topology, _ in FIGURE_5.values()]
        )
        for control, (_, edges) in zip(controls, FIGURE_5.values(), strict=True):
            assert control.unfairness < 0.01
            assert control.total == pytest.approx(edges, rel=1e-3)

    def test_the_nearest_inputs_have_the_most_control_in_a_torus(self) -> None:
        """A small world finds it easier to satisfy closer pairs (VII-B)."""
        control = Controllability().analyse(FIGURE_5["torus"][0]).matrix
        nearest, farthest = control[0, 0], control[0, 4 + 2 * 8]  # half way round in both dimensions, of 8 and 4
        assert nearest == pytest.approx(control[0].max()) and farthest == pytest.approx(control[0].min())
        assert farthest < nearest / 2


class TestReadings:
    @fast
    @given(topologies(5), st.booleans())
    def test_training_starts_from_the_uniform_reading(self, topology: Topology, by_pair: bool) -> None:
        start = Controllability("trained", by_pair=by_pair, steps=0).analyse(topology)
        even = Controllability("uniform", by_pair=by_pair).analyse(topology)
        np.testing.assert_allclose(start.matrix, even.matrix, atol=1e-12)

    @settings(max_examples=5, deadline=None)
    @given(topologies(5, 3))
    def test_training_comes_close_to_the_exact_optimum(self, topology: Topology) -> None:
        """Gaps are relative to no control at all; see the training module for what they are after all steps."""
        without = topology.n_out * (topology.n_in - 1) ** 2
        exact = least_loss(topology)
        trained = Controllability("trained", steps=80).analyse(topology)
        assert exact.bound - 1e-5 * without <= trained.loss + 1e-6 and trained.loss <= exact.objective + 0.01 * without
        fair = Controllability("fair", steps=80).analyse(topology)
        best = fairest(topology).control
        assert best.shortfall - 1e-5 <= fair.shortfall <= best.shortfall + 0.01
        even = Controllability().analyse(topology)
        assert trained.loss <= even.loss + 1e-4 * without and fair.shortfall <= even.shortfall + 1e-4

    def test_where_pairs_are_never_short_both_forms_agree(self) -> None:
        topology = random_regular(12, 12, 12, 3, 4)
        forms = [Controllability(by_pair=by_pair).analyse(topology).matrix for by_pair in (True, False)]
        np.testing.assert_allclose(*forms, atol=1e-12)

    def test_where_neurons_see_the_same_pair_only_the_full_form_knows(self) -> None:
        """Two neurons that see the same two inputs have one ratio to set between them; the output reads both."""
        topology = Topology.from_masks([[[2, 2, 0], [1, 1, 0], [0, 0, 1]], [[1], [2], [0]]])
        full, summed = (Controllability(by_pair=by_pair).analyse(topology).total for by_pair in (True, False))
        assert full == pytest.approx(1.0) == summed  # the output sees two inputs: one ratio
        wider = Topology.from_masks([[[2, 2, 0], [1, 1, 0], [0, 0, 1]], [[2], [2], [2]]])
        full, summed = (Controllability(by_pair=by_pair).analyse(wider).total for by_pair in (True, False))
        assert (full, summed) == (pytest.approx(1.0), pytest.approx(2.0))

    def test_the_form_follows_the_number_of_inputs(self) -> None:
        for n in (32, 33):
            topology = low_rank(n, 8, 40)
            expected = Controllability(by_pair=n == 32).analyse(topology).matrix
            assert np.array_equal(Controllability().analyse(topology).matrix, expected)

    def test_the_numbering_of_hidden_neurons_does_not_matter(self) -> None:
        topology = random_regular(8, 8, 10, 3, 3, seed=4)
        orders = [np.random.default_rng(0).permutation(10) for _ in range(2)]
        one, other = (Controllability().analyse(each).matrix for each in (topology, renumber(topology, orders)))
        np.testing.assert_allclose(one, other, atol=1e-12)

    def test_512_inputs_take_little_memory(self) -> None:
        control = Controllability().analyse(random_regular(512, 512, 512, 4, 4))
        assert control.matrix.shape == (512, 512)
        assert control.total == pytest.approx(4 * 3 * 512)


class TestSpecialCases:
    def test_a_dense_layer_controls_everything_evenly(self) -> None:
        control = Controllability().analyse(dense(7, 3))
        np.testing.assert_allclose(control.matrix, 6 / 7)
        assert (control.total, control.loss, control.shortfall) == pytest.approx((18, 0, 0), abs=1e-12)

    @pytest.mark.parametrize("reading", ["uniform", "trained", "fair"])
    @pytest.mark.parametrize(
        "masks",
        [[np.ones((1, 4), int)], [np.full((5, 4), 2)], [np.eye(4, dtype=int)], [np.zeros((3, 4), int)]],
        ids=["one input", "all constant", "diagonal", "no edges"],
    )
    def test_nothing_to_control(self, reading: str, masks: list[np.ndarray]) -> None:
        control = Controllability(reading, steps=3).analyse(Topology.from_masks(masks))  # type: ignore[arg-type]
        assert not control.matrix.any()
        assert (control.total, control.variance, control.unfairness) == (0, 0, 0)
        assert control.shortfall == (0 if control.matrix.shape[0] == 1 else 1)

    def test_one_input_scores_zero_error_because_there_is_no_ratio(self) -> None:
        topology = Topology.from_masks([np.ones((1, 4), int)])
        assert Controllability().evaluate(topology, Fidelity(2, 1, (0.1,)), Split.SEARCH, 0).errors == (0, 0)

    def test_what_is_not_connected_is_not_controlled(self) -> None:
        halves = np.kron(np.eye(2, dtype=int), np.ones((3, 3), int))
        control = Controllability().analyse(Topology.from_masks([halves]))
        np.testing.assert_allclose(control.matrix, np.kron(np.eye(2), np.full((3, 3), 2 / 3)))

    @pytest.mark.parametrize("wrong", [{"reading": "even"}, {"steps": -1}])
    def test_senseless_settings_are_refused(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=r"choose 'uniform'|0 or more"):
            Controllability(**wrong)  # type: ignore[arg-type]


class TestControl:
    @fast
    @given(st.integers(2, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
    def test_shortfall_is_missing_share_squared_plus_variance(self, n_in: int, n_out: int, seed: int) -> None:
        control = Control(np.random.default_rng(seed).random((n_in, n_out)))
        missing = 1 - control.total / (n_out * (n_in - 1))
        assert control.shortfall == pytest.approx(missing**2 + control.variance / control.wanted**2)

    def test_loss_is_equation_20(self) -> None:
        control = Control(np.array([[1.0, 0.0], [0.5, 0.0], [0.25, 1.0]]))
        assert control.loss == (2 - 1.75) ** 2 + (2 - 1) ** 2

    def test_the_score_is_the_shortfall_whatever_the_split(self) -> None:
        topology = butterfly(8, 4)
        shortfall = Controllability().analyse(topology).shortfall
        for split, seed in ((Split.SEARCH, 0), (Split.TEST, 5)):
            score = Controllability().evaluate(topology, Fidelity(3, 10, (0.1,)), split, seed)
            assert score.errors == (shortfall,) * 3

    def test_more_edges_score_better(self) -> None:
        errors = [
            Controllability().evaluate(clos(16, 4, middle, 4), Fidelity(1, 1, (0.1,)), Split.SEARCH, 0).error
            for middle in (1, 2, 3, 4)
        ]
        assert errors == sorted(errors, reverse=True) and len(set(errors)) == 4

    def test_matrix_sums_over_the_second_input(self) -> None:
        control = np.zeros((2, 3, 3))
        control[1, 0, 2] = control[1, 0, 1] = 0.5
        assert matrix(control).tolist() == [[0, 1], [0, 0], [0, 0]]
