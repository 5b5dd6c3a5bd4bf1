"""A topology as a graph: its edges, and how many paths join every pair."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from topologies import Topology

quick = settings(max_examples=25, deadline=None)
sides = st.integers(2, 24)
placements = st.sampled_from(["copies", "output"])


def dense_edges(topology: Topology) -> list[np.ndarray]:
    """Whether an edge is there, per layer."""
    return [mask > 0 for mask in topology.masks()]


def paths(topology: Topology, kind: int | None = None) -> np.ndarray:
    """Number of paths from every input to every output, over edges of one kind only or over all."""
    count = np.eye(topology.n_in)
    for mask in topology.masks():
        count = count @ ((mask > 0) if kind is None else (mask == kind))
    return count


def frozen(topology: Topology) -> np.ndarray:
    """Pairs with no trainable edge on any path."""
    return paths(topology) == paths(topology, kind=2)
