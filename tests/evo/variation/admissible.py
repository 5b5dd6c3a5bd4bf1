"""What every candidate must be, and problems to breed for."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from evo.variation.bounds import Bounds
from topologies.entries import CONSTANT, TRAINABLE
from topologies.topology import Topology

ROOMY = Bounds(budget=128, max_depth=8, max_width=32, max_edges=256)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def butterfly(n: int, depth: int, kind: int = CONSTANT) -> Topology:
    """Neuron i is joined to itself, and to the one that differs in a single binary digit."""
    digits = n.bit_length() - 1
    masks = []
    for layer in range(depth):
        mask = np.eye(n, dtype=np.int8) * kind
        mask[np.arange(n), np.arange(n) ^ (1 << layer % digits)] = TRAINABLE
        masks.append(mask)
    return Topology.from_masks(masks)


def assert_admissible(topology: Topology, bounds: Bounds, ends: tuple[int, int]) -> None:
    """What every candidate must be, counted on dense masks."""
    masks = topology.masks()
    assert sum((mask == TRAINABLE).sum() for mask in masks) == bounds.budget
    assert sum((mask != 0).sum() for mask in masks) <= bounds.max_edges
    assert len(masks) <= bounds.max_depth
    assert all(mask.shape[1] <= bounds.max_width for mask in masks[:-1])
    assert (masks[0].shape[0], masks[-1].shape[1]) == ends
    paths = np.eye(ends[0])
    for mask in masks:
        assert mask.any(axis=0).all(), "a neuron without an edge into it"
        assert mask.any(axis=1).all(), "a neuron without an edge out of it"
        paths = np.minimum(1, paths @ (mask != 0))
    assert paths.all(), "an input that does not reach an output"


@st.composite
def problems(draw: st.DrawFn) -> tuple[int, int, Bounds]:
    """Sizes and bounds; the budget is anything between that of a star and that of a dense layer."""
    n_in, n_out = draw(st.integers(2, 14)), draw(st.integers(2, 14))
    least, most = n_in + n_out, n_in * n_out
    budget = draw(st.integers(min(least, most), most))
    max_edges = budget + draw(st.integers(0, 2 * budget))
    return n_in, n_out, Bounds(budget, draw(st.integers(2, 9)), draw(st.integers(2, 30)), max_edges)


SEEDS = st.integers(0, 2**32 - 1)


FAST = settings(max_examples=25, deadline=None)
