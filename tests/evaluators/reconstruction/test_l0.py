"""The L0 count on the paper's example (Fig. 7), on one layer, and against constraint matching."""

from __future__ import annotations

import numpy as np
import pytest

from evaluators import ConstraintMatching, Split
from evaluators.reconstruction.l0 import l0_count
from evaluators.reconstruction.targets import target
from tests.evaluators.proxies.test_matching import FIGURE_7
from topologies import Topology, clos


@pytest.mark.parametrize("name", FIGURE_7)
def test_figure_7_three_of_four_constraints_and_one_ratio(name: str) -> None:
    found = l0_count(FIGURE_7[name], 6, 1200)
    assert found.count.tolist() == [3] * 6
    assert found.ratios.tolist() == [1] * 6


def test_a_single_layer_makes_its_own_entries_right() -> None:
    mask = np.random.default_rng(3).integers(0, 2, (6, 5))
    found = l0_count(Topology.from_masks([mask]), 4, 600)
    by_chance = [int((np.abs(target(6, 5, index, Split.SEARCH, 0)[mask == 0]) < 1e-3).sum()) for index in range(4)]
    assert found.count.tolist() == [mask.sum() + more for more in by_chance]


def test_no_more_than_matching_allows_and_most_of_it() -> None:
    topology = clos(8, 4, 2, 4)
    count, most = l0_count(topology, 4, 600).count, ConstraintMatching().analyse(topology).count
    assert (count <= most).all() and (count >= 0.75 * most).all()


def test_without_parameters_nothing_is_right() -> None:
    found = l0_count(Topology.from_masks([np.full((3, 2), 2)]), 3, 5)
    assert found.count.tolist() == [0, 0, 0] and found.ratios.tolist() == [-2, -2, -2]
