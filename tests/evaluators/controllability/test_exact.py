"""The exact optimum of controllability, and the flow that bounds it, against each other and small closed forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings

from evaluators import Controllability
from evaluators.controllability.exact import fairest, greatest_total, least_loss
from evaluators.controllability.flow import CERTIFIED_UP_TO, flow_bound
from tests.evaluators.random_topologies import topologies
from topologies import Topology, butterfly, clos, dense, hypercube, low_rank, random_regular, torus

fast = settings(max_examples=25, deadline=None)

GAP = Topology.from_masks(
    [
        # a{0,1} b{0,1} z{2,3,4} w{5}
        [[2, 2, 0, 0], [1, 1, 0, 0], [0, 0, 2, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        # {a, b, z} {z, w}
        [[2, 0], [1, 0], [1, 2], [0, 1]],
    ]
)
"""The smallest topology with skips that is known to control less than the flow promises: a and b see one pair."""


def best_whole_total(topology: Topology) -> int:
    """The greatest total if control came in whole units, by trying every way to spend it: for tiny topologies only.

    A unit is added at a neuron to a pair and follows one path to an output.
    """
    n_in, layers = topology.n_in, topology.layers
    pairs = [(i, j) for i in range(n_in) for j in range(i + 1, n_in)]
    seen, product_ = [], np.eye(n_in)
    for mask in topology.masks():
        product_ = ((product_ @ (mask > 0)) > 0).astype(float)
        seen.append(product_)

    def ends(place: int, neuron: int) -> list[list[tuple[int, int]]]:
        if place == topology.depth - 1:
            return [[(place, neuron)]]
        onward = layers[place + 1].targets[layers[place + 1].sources == neuron]
        return [[(place, neuron), *rest] for target in onward for rest in ends(place + 1, int(target))]

    units = []
    for place, mask in enumerate(topology.masks()):
        for neuron, column in enumerate(mask.T):
            cap = max(0, min((column == 1).sum(), (column > 0).sum() - 1))
            sees = [pair for pair in pairs if seen[place][pair[0], neuron] and seen[place][pair[1], neuron]]
            units += [list(product(sees, ends(place, neuron)))] * int(cap)

    def spend(rest: list[list[tuple[tuple[int, int], list[tuple[int, int]]]]], used: dict) -> int:
        if not rest:
            return 0
        most = spend(rest[1:], used)
        for pair, path in rest[0]:
            room = all(len(used.get(at, ())) < seen[at[0]][:, at[1]].sum() - 1 for at in path)
            if room and all(pair not in used.get(at, ()) for at in path):
                most = max(most, 1 + spend(rest[1:], used | {at: used.get(at, frozenset()) | {pair} for at in path}))
        return most

    return spend(units, {})


class TestGreatestTotal:
    @settings(max_examples=20, deadline=None)
    @given(topologies(3, 2))
    def test_no_less_than_the_best_whole_units(self, topology: Topology) -> None:
        whole = best_whole_total(topology)
        assert whole - 1e-6 <= greatest_total(topology).total <= flow_bound(topology).total + 1e-6

    def test_the_smallest_known_gap_to_the_flow(self) -> None:
        assert flow_bound(GAP).total == 7
        assert flow_bound(GAP).control is None
        assert greatest_total(GAP).total == pytest.approx(6) == best_whole_total(GAP)

    def test_a_dense_layer_and_low_rank(self) -> None:
        assert greatest_total(dense(5, 3)).total == pytest.approx(3 * 4)
        # one hidden neuron: all outputs see one combination, whose n - 1 ratios they share
        assert greatest_total(low_rank(5, 3, 1, skip=False)).total == pytest.approx(4)

    @pytest.mark.parametrize(
        "topology",
        [butterfly(8, 6), hypercube(8, 3), torus((4, 2), 3), clos(8, 4, 3, 4)],
        ids=["butterfly", "hypercube", "torus", "clos"],
    )
    def test_what_the_families_control(self, topology: Topology) -> None:
        """All trainable edges count until every output has its n - 1 ratios."""
        assert greatest_total(topology).total == pytest.approx(min(topology.n_trainable, 8 * 7))

    @pytest.mark.parametrize("masks", [[np.ones((1, 3), int)], [np.eye(3, dtype=int)], [np.full((3, 3), 2)]])
    def test_nothing_to_control(self, masks: list[np.ndarray]) -> None:
        topology = Topology.from_masks(masks)
        assert not greatest_total(topology).matrix.any()
        assert fairest(topology).control.total == 0 == least_loss(topology).control.total

    def test_too_large_a_topology_is_refused_in_one_line(self) -> None:
        with pytest.raises(ValueError, match="at most 100000 are solved exactly"):
            greatest_total(butterfly(32, 18))


class TestSquaredObjectives:
    @fast
    @given(topologies(4, 3))
    def test_the_uniform_reading_is_feasible_and_so_no_better(self, topology: Topology) -> None:
        even = Controllability("uniform").analyse(topology)
        scale = topology.n_in**2 * topology.n_out
        best, fair = least_loss(topology), fairest(topology)
        assert even.total <= greatest_total(topology).total + 1e-6
        assert even.loss >= best.bound - 1e-6 * scale
        assert np.square(even.wanted - even.matrix).sum() >= fair.bound - 1e-6 * scale
        assert best.objective - best.bound <= 1e-5 * scale and fair.objective - fair.bound <= 1e-5 * scale

    @fast
    @given(topologies(4, 3))
    def test_each_is_least_at_its_own_optimum(self, topology: Topology) -> None:
        best, fair = least_loss(topology), fairest(topology)
        scale = 1e-4 * topology.n_in**2 * topology.n_out
        assert best.objective == pytest.approx(best.control.loss, abs=scale)
        assert best.control.loss <= fair.control.loss + scale
        assert fair.control.shortfall <= best.control.shortfall + 1e-4
        assert best.control.total == pytest.approx(greatest_total(topology).total, abs=0.05)

    def test_a_shared_budget_is_split_evenly(self) -> None:
        """Two inputs with both outputs behind one trainable neuron: one ratio, half of it to each output."""
        topology = Topology.from_masks([[[2], [1]], [[2, 2]]])
        assert least_loss(topology).objective == pytest.approx(2 * 0.5**2)
        np.testing.assert_allclose(fairest(topology).control.matrix, 0.25, atol=1e-3)
        assert fairest(topology).objective == pytest.approx(4 * 0.25**2)

    def test_fair_is_fair_where_uniform_is_not(self) -> None:
        topology = hypercube(8, 3)
        assert Controllability().analyse(topology).unfairness > 0.1
        assert fairest(topology).control.unfairness < 0.01


class TestFlowBound:
    @fast
    @given(topologies(6))
    def test_bounds_the_exact_total_and_a_certificate_proves_it(self, topology: Topology) -> None:
        bound, exact = flow_bound(topology), greatest_total(topology).total
        assert exact <= bound.total + 1e-6
        if bound.control is not None:
            assert exact == pytest.approx(bound.total, abs=1e-6)
            assert bound.control.total == pytest.approx(bound.total, abs=1e-6)
            assert (bound.control.matrix.sum(axis=0) <= topology.n_in - 1 + 1e-9).all()

    def test_certificates_are_found_almost_always(self) -> None:
        drawn = [random_regular(6, 6, 6, depth, fan, seed) for depth in (2, 3) for fan in (2, 3) for seed in range(10)]
        assert sum(flow_bound(topology).control is not None for topology in drawn) >= 38

    @pytest.mark.parametrize(
        ("topology", "total"),
        [(hypercube(32, 6), 960), (clos(32, 8, 9, 8), 976), (butterfly(32, 18), 576), (torus((8, 4), 7), 896)],
        ids=["hypercube", "clos", "butterfly", "torus"],
    )
    def test_figure_5_is_certified(self, topology: Topology, total: int) -> None:
        bound = flow_bound(topology)
        assert bound.total == total and bound.control is not None
        assert bound.control.total == pytest.approx(total)

    def test_without_skips_a_neuron_still_adds_one_ratio_less_than_it_has_edges(self) -> None:
        assert flow_bound(butterfly(16, 8, skip=False)).total == flow_bound(butterfly(16, 8)).total

    def test_large_topologies_get_a_bound_only(self) -> None:
        topology = random_regular(CERTIFIED_UP_TO + 1, 40, 60, 3, 4)
        bound = flow_bound(topology)
        assert bound.control is None
        assert 0.9 * topology.n_trainable < bound.total <= topology.n_trainable

    def test_no_edges(self) -> None:
        bound = flow_bound(Topology.from_masks([np.zeros((3, 2), int), np.zeros((2, 2), int)]))
        assert bound.total == 0 and bound.control is not None and not bound.control.matrix.any()
