"""Packed bytes: they come back whole, and no other bytes pass for them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topologies import Topology, butterfly, clos
from topologies.packing import pack, unpack

quick = settings(max_examples=50, deadline=None)
PACKED = pack(Topology.from_masks([np.array([[1, 0, 2], [0, 1, 1]]), np.array([[1, 2], [1, 0], [0, 1]])]))


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Any, layers without an edge included."""
    widths = draw(st.lists(st.integers(1, 6), min_size=2, max_size=5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.sampled_from([0.0, 0.2, 0.6]))
    kinds = [1 - density, density / 2, density / 2]
    return Topology.from_masks([generator.choice(3, size=shape, p=kinds) for shape in pairwise(widths)])


@quick
@given(topologies())
def test_what_is_packed_comes_back(topology: Topology) -> None:
    assert unpack(pack(topology)) == topology


def test_bytes_follow_edges_not_widths() -> None:
    sparse = Topology.from_masks([np.eye(300)])
    assert len(pack(sparse)) < 300 * 10
    assert len(pack(butterfly(32, 18))) < 1152 * 10


def test_different_topologies_have_different_bytes() -> None:
    some = [butterfly(8, 3), butterfly(8, 3, skip=False), butterfly(8, 4), clos(8, 2, 3, 2), clos(8, 2, 3, 2, 7)]
    assert len({pack(topology) for topology in some}) == len(some)


@pytest.mark.parametrize("length", range(len(PACKED)))
def test_bytes_that_were_cut_off_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match="not a packed topology"):
        unpack(PACKED[:length])


@quick
@given(st.binary(min_size=1, max_size=40))
def test_bytes_that_were_added_are_refused(more: bytes) -> None:
    with pytest.raises(ValueError, match="not a packed topology"):
        unpack(PACKED + more)


@quick
@given(st.binary(max_size=80))
def test_garbage_is_refused(data: bytes) -> None:
    for garbage in (data, PACKED[:20] + data):
        with pytest.raises(ValueError, match="not a packed topology"):
            unpack(garbage)


def test_a_byte_that_was_changed_is_refused_or_makes_another_topology_whole() -> None:
    changed = [
        PACKED[:place] + bytes([PACKED[place] ^ flip]) + PACKED[place + 1 :]
        for place in range(len(PACKED))
        for flip in (0x01, 0x02, 0x80, 0xFF)
    ]
    refused = 0
    for data in changed:
        try:
            assert pack(unpack(data)) == data
        except ValueError as error:
            refused += 1
            assert "not a packed topology" in str(error)
    assert refused > len(changed) / 2
