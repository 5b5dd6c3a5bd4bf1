"""Constraint matching and the L0 count (paper, section V-A and Appendix A).

An edge can be given the value that makes one entry of the product right (Eq. 6), for an input-output pair that has a
path through it. How many pairs can be served that way, each by an edge of its own, is a maximum matching: the
data-free bound on how many entries training with L1 loss makes exactly right, which is the L0 count.

Neither ranks topologies well: a greedy topology that serves a few pairs only counts as much as a fair one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from evaluators.reconstruction.evaluator import start_of
from evaluators.reconstruction.targets import target
from evaluators.task import Fidelity, Score, Split
from topologies.reach import from_inputs, to_outputs
from topologies.topology import CONSTANT, Topology

if TYPE_CHECKING:
    import torch

MAX_CHOICES = 1 << 27
"""Pairs of an edge and an entry that it serves, at most: 5 bytes each."""
EPSILON = 1e-3
"""How near an entry must come to its goal, which is of size 1, to count."""
RATE = 0.1
"""Peak learning rate of the L1 training, unless asked otherwise."""


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
    edges, inputs, outputs = np.nonzero(inputs_of[:, :, None] & outputs_of[:, None, :])
    return edges, inputs * topology.n_out + outputs


@dataclass(frozen=True)
class L0Count:
    """``count``, shape ``(targets,)``: the entries of each target that L1 training made right."""

    count: NDArray[np.int64]
    n_out: int

    @property
    def ratios(self) -> NDArray[np.int64]:
        """Entries beyond one an output, which with a diagonal layer at the end is the output's magnitude."""
        return self.count - self.n_out


def l0_count(
    topology: Topology,
    targets: int = 8,
    steps: int = 2000,
    *,
    rate: float = RATE,
    epsilon: float = EPSILON,
    seed: int = 0,
) -> L0Count:
    """Train with L1 loss and count the entries that come within ``epsilon`` of their goals (section V-A).

    Build the topology with ``diagonal=True`` for the count of ratios (Appendix A). Targets and starts are those of the
    search split. Adam's rate falls to zero, so that entries settle where the loss has its corners. No more entries
    are right than there are parameters, but for those that are right by chance, some ``epsilon`` of all. A few seconds.
    """
    import torch

    goals = torch.tensor(
        np.stack([target(topology.n_in, topology.n_out, index, Split.SEARCH, seed) for index in range(targets)])
    )
    weights = torch.tensor(np.stack([start_of(topology, index, Split.SEARCH, seed) for index in range(targets)]))
    weights.requires_grad_()
    products = _products(topology)
    adam = torch.optim.Adam([weights], lr=rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(steps, 1))
    for _ in range(steps if topology.n_trainable else 0):
        adam.zero_grad()
        (products(weights) - goals).abs().sum().backward()  # type: ignore[no-untyped-call]
        adam.step()
        falling.step()
    with torch.no_grad():
        right = (products(weights) - goals).abs() < epsilon
    return L0Count(right.sum(dim=(1, 2)).numpy(), topology.n_out)


def _products(topology: Topology) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function from sets of trainable weights to the matrices of the whole cascade (Eq. 4).

    ``(sets, n_trainable)`` to ``(sets, n_in, n_out)``.
    """
    import torch

    constants = [torch.tensor(layer.mask() == CONSTANT, dtype=torch.float32) for layer in topology.layers]
    ends = [
        tuple(torch.tensor(end[layer.trainable], dtype=torch.long) for end in (layer.sources, layer.targets))
        for layer in topology.layers
    ]
    sizes = [layer.n_trainable for layer in topology.layers]

    def products(weights: torch.Tensor) -> torch.Tensor:
        result = torch.eye(topology.n_in).expand(len(weights), -1, -1)
        every = torch.arange(len(weights))[:, None]
        for constant, (sources, targets), part in zip(constants, ends, torch.split(weights, sizes, 1), strict=True):
            matrices = constant.expand(len(weights), -1, -1).index_put((every, sources, targets), part)
            result = result @ matrices
        return result

    return products
