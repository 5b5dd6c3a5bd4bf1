"""An upper bound on total controllability at any size, and often a proof that it is reached (paper, section VI).

With the pair of inputs summed out, what is left is one commodity: the greatest total is a maximum flow through neurons
of limited room. Only the caps of single pairs are dropped (Eq. 9), so the flow is an upper bound. It is integral: cut
into paths of one unit each, it can be reached if every path is given a pair of inputs that its first neuron sees, such
that no two paths through a neuron have the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from evaluators.controllability.evaluator import Controllability
from evaluators.controllability.model import Control, Stage, stages
from topologies.topology import Topology

CERTIFIED_UP_TO = 128
"""The greatest n_in for which a certificate is sought."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class FlowBound:
    """No choice of control has a greater sum of K than ``total``.

    ``control`` is a choice that reaches it, the certificate that the bound is exact; None where none was found, which
    does not mean that there is none.
    """

    total: int
    control: Control | None


def flow_bound(topology: Topology) -> FlowBound:
    """The maximum-flow bound on total controllability.

    Of certificates, the uniform reading is tried first, then a greedy choice of pairs for the paths of the flow. They
    are sought up to 128 inputs only: memory grows with the square.
    """
    layers = stages(topology)
    starts = np.cumsum([0, *(stage.n_out for stage in layers)])
    paths = list(_unit_paths(_flow(layers, starts), int(starts[-1])))
    if topology.n_in > CERTIFIED_UP_TO:
        return FlowBound(len(paths), None)
    evenly = Controllability("uniform", by_pair=True).analyse(topology)
    reached = len(paths) - evenly.total < _ROUNDING * len(paths)
    return FlowBound(len(paths), evenly if reached else _certificate(layers, starts, paths))


def _flow(layers: list[Stage], starts: NDArray[np.int64]) -> csr_array:
    """A maximum flow: neuron k, counted from the first layer's, is entered at node k and left at node n + k.

    Node 2n is the source of added control, node 2n + 1 the sink after the outputs. Where flow runs backwards the
    entries are negative.
    """
    n = int(starts[-1])
    neurons, outputs = np.arange(n), np.arange(starts[-2], n)
    added = np.concatenate([stage.added for stage in layers])
    room = np.concatenate([stage.room for stage in layers])
    edges = [
        (n + before + stage.sources, after + stage.targets)
        for before, after, stage in zip(starts, starts[1:], layers[1:], strict=False)
    ]
    tails = [np.full(n, 2 * n), neurons, n + outputs, *(tail for tail, _ in edges)]
    heads = [neurons, n + neurons, np.full(outputs.size, 2 * n + 1), *(head for _, head in edges)]
    ample = np.full(outputs.size + sum(tail.size for tail, _ in edges), added.sum())
    capacities = np.concatenate([added, room, ample]).astype(np.int32)
    graph = csr_array((capacities, (np.concatenate(tails), np.concatenate(heads))), (2 * n + 2, 2 * n + 2))
    return maximum_flow(graph, 2 * n, 2 * n + 1).flow


def _unit_paths(flow: csr_array, n: int) -> Iterator[list[int]]:
    """Cut a flow into paths of one unit: the neurons that each passes, from where control is added to an output."""
    onward: list[list[int]] = [[] for _ in range(n)]
    added: list[int] = []
    entries = flow.tocoo()
    for tail, head, amount in zip(*entries.coords, entries.data, strict=True):
        if amount > 0 and tail == 2 * n:
            added += [int(head)] * int(amount)
        elif amount > 0 and tail >= n and head < n:
            onward[tail - n] += [int(head)] * int(amount)
    for neuron in sorted(added):
        path = [neuron]
        while onward[path[-1]]:
            path.append(onward[path[-1]].pop())
        yield path


def _certificate(layers: list[Stage], starts: NDArray[np.int64], paths: list[list[int]]) -> Control | None:
    """Give every path a pair of its own at each neuron it passes; None where a path finds no pair left.

    Paths that start where few inputs are seen choose first. Each takes, of the pairs that are left to it, the one whose
    two inputs have been given the least at its output, and gives the ratio to the needier of the two.
    """
    n_in = layers[0].n_in
    first, second = np.triu_indices(n_in, 1)
    sees = np.concatenate([stage.sees for stage in layers])
    left = sees[:, first] & sees[:, second]
    reached = np.zeros((n_in, layers[-1].n_out))
    for path in sorted(paths, key=lambda path: int(sees[path[0]].sum())):
        given = reached[:, path[-1] - starts[-2]]
        free = np.flatnonzero(left[path].all(axis=0))
        if not free.size:
            return None
        pair = free[np.argmin(given[first[free]] + given[second[free]])]
        left[path, pair] = False
        given[min(first[pair], second[pair], key=lambda one: given[one])] += 1
    return Control(reached)
