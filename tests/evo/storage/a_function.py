"""An evaluator that is a function, to be named in a recipe."""

from __future__ import annotations

from evaluators.task import Fidelity, Score, Split
from topologies.topology import Topology


def by_edges(topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
    """The number of edges, for every target."""
    return Score((float(topology.n_edges),) * fidelity.targets)
