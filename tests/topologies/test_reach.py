"""Reachability against products of the masks."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.evaluators.random_topologies import topologies
from topologies import Topology
from topologies.reach import alive, from_inputs, to_outputs

fast = settings(max_examples=50, deadline=None)


def paths(topology: Topology, first: int, last: int) -> NDArray[np.int64]:
    """Numbers of paths from the neurons before layer ``first`` to those before layer ``last``."""
    found = np.eye(topology.widths[first], dtype=np.int64)
    for mask in topology.masks()[first:last]:
        found = found @ (mask > 0)
    return found


@fast
@given(topologies(5))
def test_who_is_reached_and_who_reaches(topology: Topology) -> None:
    ahead, behind = from_inputs(topology), to_outputs(topology)
    for place in range(topology.depth + 1):
        assert np.array_equal(ahead[place], paths(topology, 0, place) > 0)
        assert np.array_equal(behind[place], paths(topology, place, topology.depth).T > 0)
    assert topology.is_connected == bool(ahead[-1].all())


@fast
@given(topologies(5), st.integers(0, 2**32 - 1))
def test_who_is_alive_between_marked_ends(topology: Topology, seed: int) -> None:
    draw = np.random.default_rng(seed)
    inputs, outputs = draw.random(topology.n_in) < 0.5, draw.random(topology.n_out) < 0.5
    for place, found in enumerate(alive(topology, inputs, outputs)):
        ahead = paths(topology, 0, place)[inputs].sum(axis=0)
        behind = paths(topology, place, topology.depth)[:, outputs].sum(axis=1)
        assert np.array_equal(found, ahead * behind > 0)
    everywhere = np.ones(topology.n_in, dtype=bool), np.ones(topology.n_out, dtype=bool)
    assert all(map(np.array_equal, alive(topology), alive(topology, *everywhere)))
