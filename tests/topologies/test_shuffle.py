"""The control of a wiring: what it keeps, and what it forgets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluators.random_topologies import topologies
from topologies import butterfly, clos, dense
from topologies.shuffle import shuffled, there_once
from topologies.stack import Stack
from topologies.topology import Topology


@settings(max_examples=50, deadline=None)
@given(topology=topologies(), seed=st.integers(0, 9))
def test_every_neuron_keeps_its_fans_of_either_kind(topology: Topology, seed: int) -> None:
    other = shuffled(topology, np.random.default_rng(seed))
    assert other.widths == topology.widths
    for one, two in zip(topology.layers, other.layers, strict=True):
        for kind in (True, False):
            for ends, width in (("sources", one.n_in), ("targets", one.n_out)):
                fans = [
                    np.bincount(getattr(layer, ends)[layer.trainable == kind], minlength=width) for layer in (one, two)
                ]
                np.testing.assert_array_equal(*fans)


def test_what_can_be_wired_otherwise_is() -> None:
    draw = np.random.default_rng(0)
    assert shuffled(butterfly(16, 4), draw).digest != butterfly(16, 4).digest
    assert shuffled(dense(4, 4), draw) == dense(4, 4)
    wirings = {shuffled(clos(8, 2, 3, 2), np.random.default_rng(seed)).digest for seed in range(5)}
    assert len(wirings) == 5


def test_nothing_is_left_of_where_edges_were() -> None:
    """An edge of a butterfly's layer of fan 2 is kept about as often as one of 256 would be hit by chance."""
    layer = butterfly(256, 1).layers[0]
    before = set(zip(layer.sources.tolist(), layer.targets.tolist(), strict=True))
    kept = 0
    for seed in range(20):
        (other,) = shuffled(butterfly(256, 1), np.random.default_rng(seed)).layers
        kept += len(before & set(zip(other.sources.tolist(), other.targets.tolist(), strict=True)))
    assert kept / (20 * len(before)) == pytest.approx(2 / 256, abs=0.005)


def test_every_place_of_a_stack_is_shuffled_by_itself() -> None:
    stack = Stack((butterfly(16, 4), butterfly(16, 4)))
    other = shuffled(stack, np.random.default_rng(0))
    assert other.sizes == stack.sizes and other.n_trainable == stack.n_trainable
    assert len({stack.places[0].digest, *(place.digest for place in other.places)}) == 3


def test_edges_are_counted_alike_where_there_is_room_for_many_more() -> None:
    draw = np.random.default_rng(0)
    few = draw.integers(0, 40, 60)
    some = draw.choice(few, (2, 30))
    assert np.array_equal(there_once(some, few), there_once(some * 10**12, few * 10**12))
