"""Constraint matching (paper, section V-A and Appendix A).

An edge can be given the value that makes one entry of the product right (Eq. 6), for an input-output pair that has a
path through it. How many pairs can be served that way, each by an edge of its own, is a maximum matching: the
data-free bound on how many entries training with L1 loss makes exactly right, which is the L0 count
(:mod:`evaluators.reconstruction.l0`).

Neither ranks topologies well: a greedy topology that serves a few pairs only counts as much as a fair one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from evaluators.task import Fidelity, Score, Split
from topologies.reach import from_inputs, to_outputs
from topologies.topology import Topology

MAX_CHOICES = 1 << 27
"""Pairs of an edge and an entry that it serves, at most: about 26 bytes each while they are listed, 3.5 GB."""


@dataclass(frozen=True)
class Matching:
    """``edge_of``, shape ``(n_in, n_out)``: the trainable edge that serves each entry, -1 where none does.

    Trainable edges are numbered from the inputs on, in the order of their layers.
    """

    edge_of: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Entries served: at most the trainable edges, and at most the connected pairs."""
        return int((self.edge_of >= 0).sum())


class ConstraintMatching:
    """Scores a topology by the greatest number of entries that have a trainable edge of their own (section V-A)."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """The share of entries that are not served, as the error of every target; 1 without trainable edges."""
        return Score((1 - self.analyse(topology).count / (topology.n_in * topology.n_out),) * fidelity.targets)

    def analyse(self, topology: Topology) -> Matching:
        """A maximum matching by Hopcroft and Karp's algorithm.

        Raises
        ------
        ValueError
            Where edges and the entries that they serve make more than 2^27 pairs: a deep cascade at n = 256. At n = 32
            there are a million.
        """
        edges, entries = _choices(topology)
        shape = topology.n_trainable, topology.n_in * topology.n_out
        graph = csr_array((np.ones(edges.size, dtype=np.int8), (edges, entries)), shape)
        edge_of = maximum_bipartite_matching(graph, perm_type="row") if edges.size else np.full(shape[1], -1)
        return Matching(edge_of.astype(np.int64).reshape(topology.n_in, topology.n_out))


def _choices(topology: Topology) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of a trainable edge and an entry (number ``input * n_out + output``) with a path through the edge."""
    ahead, behind = from_inputs(topology), to_outputs(topology)[1:]
    inputs_of = np.concatenate(
        [seen[:, layer.sources[layer.trainable]].T for seen, layer in zip(ahead, topology.layers, strict=False)]
    )
    outputs_of = np.concatenate(
        [seen[:, layer.targets[layer.trainable]].T for seen, layer in zip(behind, topology.layers, strict=True)]
    )
    choices = int(inputs_of.sum(axis=1) @ outputs_of.sum(axis=1))
    if choices > MAX_CHOICES:
        raise ValueError(f"{topology!r}: {choices} pairs of an edge and an entry, at most {MAX_CHOICES} are matched")
    found = [
        np.add.outer(np.flatnonzero(before) * topology.n_out, np.flatnonzero(after)).ravel()
        for before, after in zip(inputs_of, outputs_of, strict=True)
    ]
    edges = np.repeat(np.arange(len(found)), [one.size for one in found])
    return edges, np.concatenate([np.zeros(0, np.int64), *found])
