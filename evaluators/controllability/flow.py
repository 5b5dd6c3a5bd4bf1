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

from evaluators.controllability.evaluator import Controllability
from evaluators.controllability.model import Control, Stage, stages
from topologies.flow import Flow, greatest_flow
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
    flow = greatest_flow(topology.layers[1:], [stage.added for stage in layers], [stage.room for stage in layers])
    paths = list(_unit_paths(flow, int(starts[-1])))
    if topology.n_in > CERTIFIED_UP_TO:
        return FlowBound(len(paths), None)
    evenly = Controllability("uniform", by_pair=True).analyse(topology)
    reached = len(paths) - evenly.total < _ROUNDING * len(paths)
    return FlowBound(len(paths), evenly if reached else _certificate(layers, starts, paths))


def _unit_paths(flow: Flow, n: int) -> Iterator[list[int]]:
    """Cut a flow into paths of one unit: the neurons that each passes, from where control is added to an output."""
    onward: list[list[int]] = [[] for _ in range(n)]
    added: list[int] = []
    entries = flow.along.tocoo()
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
