"""Errors entry by entry: closed forms, and the plain reference for the products."""

from __future__ import annotations

import numpy as np
import pytest

from evaluators import Fidelity, MatrixReconstruction, Split
from evaluators.reconstruction.entries import entry_errors
from evaluators.reconstruction.targets import target
from topologies import clos
from topologies.topology import Topology


def goals(topology: Topology, count: int) -> np.ndarray:
    return np.stack([target(topology.n_in, topology.n_out, index, Split.SEARCH, 3) for index in range(count)]).astype(
        np.float64
    )


def test_one_layer_gets_its_own_entries_right_and_leaves_all_others() -> None:
    mask = np.eye(6, dtype=int)
    mask[1, 4] = 1
    errors = entry_errors(Topology.from_masks([mask]), Fidelity(5, 300, (0.3,)), Split.SEARCH, 3)
    energy = np.square(goals(Topology.from_masks([mask]), 5)).mean(axis=0)
    assert errors[mask == 1].max() < 1e-4
    assert errors[mask == 0] == pytest.approx(energy[mask == 0])


def test_a_constant_entry_misses_by_its_distance_from_one() -> None:
    topology = Topology.from_masks([np.full((2, 3), 2)])
    errors = entry_errors(topology, Fidelity(4, 1, (0.3,)), Split.SEARCH, 3)
    assert errors == pytest.approx(np.square(1 - goals(topology, 4)).mean(axis=0))


def test_entries_add_up_to_the_errors_of_the_targets() -> None:
    topology, fidelity = clos(8, 2, 3, 2), Fidelity(3, 60, (0.1, 0.5))
    errors = entry_errors(topology, fidelity, Split.SEARCH, 3)
    energy = np.square(goals(topology, 3)).sum(axis=(1, 2))
    found = np.array(MatrixReconstruction().evaluate(topology, fidelity, Split.SEARCH, 3).errors)
    assert errors.sum() == pytest.approx(float((found * energy).mean()), rel=1e-5)
