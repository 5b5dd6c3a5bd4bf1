"""The most control that any choice reaches, exactly, for small topologies: what the trained readings strive for.

Control at a neuron may also be left unused. That changes nothing that can arrive at the outputs, and makes the
feasible choices a polytope: a network flow with one commodity for every pair of inputs, in which Eq. 9, 11, 13 and 28
are capacities (paper, section VI). Of (i, j) and (j, i) only the sum is capped anywhere, so a commodity is an
unordered pair, and its control is given to i or to j where it arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, nnls
from scipy.sparse import csr_array, vstack

from evaluators.controllability.model import Control, Stage, stages
from topologies.topology import Topology

MAX_VARIABLES = 100_000
"""The greatest linear programme that is tried: some 8 inputs in any topology, 16 in a small one."""
TOLERANCE = 1e-6
"""How close to the optimum the squared objectives get, relative to what they are without any control."""

_Matrix = NDArray[np.float64]
_Maximise = Callable[[_Matrix], _Matrix]
_SOLUTIONS = 2000  # linear programmes that one squared objective may take; tens are usual


@dataclass(frozen=True)
class Optimum:
    """A control that minimises a squared objective, and a lower bound on what any control reaches of it."""

    control: Control
    objective: float
    bound: float


def greatest_total(topology: Topology) -> Control:
    """A control with the greatest total controllability that there is.

    Raises
    ------
    ValueError
        For a topology too large for an exact solution.
    """
    return Control(_programme(topology)(np.ones((topology.n_in, topology.n_out))))


def least_loss(topology: Topology) -> Optimum:
    """The least loss of Eq. 20, the trained reading; only K's totals per output are unique. Errors as above."""
    wanted = np.full((1, topology.n_out), topology.n_in - 1.0)
    return _nearest(_programme(topology), wanted, np.ones((1, topology.n_in)))


def fairest(topology: Topology) -> Optimum:
    """The least sum of ((n_in - 1) / n_in - K)², the fair reading, and the only K that has it. Errors as above."""
    wanted = np.full((topology.n_in, topology.n_out), 1 - 1 / topology.n_in)
    return _nearest(_programme(topology), wanted, np.eye(topology.n_in))


def _nearest(maximise: _Maximise, wanted: _Matrix, view: _Matrix) -> Optimum:
    """The reachable K whose ``view @ K`` is nearest to ``wanted``, by simplicial decomposition.

    Vertices of the polytope are gathered, each the farthest one in the direction from the best mixture so far to what
    is wanted. How far it leads in that direction bounds how much can be gained at all.
    """
    scale = max(float(np.square(wanted).sum()), 1.0)
    vertices = [maximise(view.T @ wanted)]
    for _ in range(_SOLUTIONS):
        lacks = [wanted - view @ vertex for vertex in vertices]
        mixture = _shortest(np.array([lack.ravel() for lack in lacks]).T)
        lack = np.tensordot(mixture, np.array(lacks), 1)
        farthest = maximise(view.T @ lack)
        objective = float(np.square(lack).sum())
        gain = max(0.0, 2 * float(np.sum(lack * (lack - wanted + view @ farthest))))
        if gain <= TOLERANCE * scale:
            found = np.tensordot(mixture, np.array(vertices), 1)
            return Optimum(Control(found), objective, max(objective - gain, 0.0))
        vertices = [vertex for vertex, part in zip(vertices, mixture, strict=True) if part > 0] + [farthest]
    raise ArithmeticError(f"no optimum within {TOLERANCE * scale} after {_SOLUTIONS} linear programmes")


def _shortest(columns: _Matrix) -> _Matrix:
    """The mixture of columns (weights of 0 or more that sum to 1) that is the shortest vector.

    Of all vectors w >= 0 in one direction, one has the least |columns w|² + (sum of w - 1)². It is smaller the
    shorter the mixture in that direction: so non-negative least squares finds the direction.
    """
    weights, _ = nnls(np.vstack([columns, np.ones(columns.shape[1])]), np.append(np.zeros(columns.shape[0]), 1.0))
    return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class _Arcs:
    """The network. A *place* is a neuron and a pair that it sees; a variable is the control on one arc.

    ``head`` and ``tail`` are the places at the ends of every arc, -1 where there is none: the first ``places`` arcs
    add control at each place, the last ones deliver it at outputs to one input of the pair (``to_input``,
    ``at_output``), and those between follow the topology's edges. ``neuron`` is the number of every place's neuron.
    """

    places: int
    neuron: NDArray[np.int64]
    tail: NDArray[np.int64]
    head: NDArray[np.int64]
    to_input: NDArray[np.int64]
    at_output: NDArray[np.int64]

    @staticmethod
    def of(layers: list[Stage]) -> _Arcs:
        """The network of a topology."""
        pairs = np.array(np.triu_indices(layers[0].n_in, 1))
        seen = [stage.sees[:, pairs[0]] & stage.sees[:, pairs[1]] for stage in layers]
        everywhere = np.concatenate(seen)
        places = int(everywhere.sum())
        numbers = np.full(everywhere.shape, -1)
        numbers[everywhere] = np.arange(places)
        by_layer = np.split(numbers, np.cumsum([len(of_layer) for of_layer in seen])[:-1])
        passing = [
            (before[stage.sources][before[stage.sources] >= 0], after[stage.targets][before[stage.sources] >= 0])
            for (before, after), stage in zip(pairwise(by_layer), layers[1:], strict=True)
        ]
        output, pair = np.nonzero(seen[-1])
        last, nowhere = by_layer[-1][seen[-1]], np.full(output.size, -1)
        return _Arcs(
            places,
            np.nonzero(everywhere)[0],
            np.concatenate([np.full(places, -1), *(tail for tail, _ in passing), last, last]),
            np.concatenate([np.arange(places), *(head for _, head in passing), nowhere, nowhere]),
            np.concatenate([pairs[0][pair], pairs[1][pair]]),
            np.tile(output, 2),
        )


def _programme(topology: Topology) -> _Maximise:
    """The linear programme of a topology: from weights on K's entries to a K with the greatest weighted sum."""
    layers = stages(topology)
    arcs = _Arcs.of(layers)
    if arcs.head.size > MAX_VARIABLES:
        raise ValueError(
            f"{topology!r} needs {arcs.head.size} variables, at most {MAX_VARIABLES} are solved exactly: "
            "flow_bound and the trained readings have no such limit"
        )
    leaving, arriving = _incidence(arcs.tail, arcs.places), _incidence(arcs.head, arcs.places)
    by_neuron = _incidence(arcs.neuron, sum(stage.n_out for stage in layers))
    adding = _incidence(np.where(np.arange(arcs.head.size) < arcs.places, arcs.head, -1), arcs.places)
    constraints = vstack([leaving - arriving, arriving, by_neuron @ adding, by_neuron @ arriving], format="csc")
    limits = [
        np.zeros(arcs.places),  # what leaves has arrived (Eq. 15)
        np.ones(arcs.places),  # a pair has one ratio (Eq. 9)
        *(stage.added for stage in layers),  # Eq. 13 and 28
        *(stage.room for stage in layers),  # Eq. 11
    ]

    delivered = slice(arcs.head.size - arcs.to_input.size, arcs.head.size)

    def maximise(weights: _Matrix) -> _Matrix:
        """A reachable K, shape ``(n_in, n_out)`` as the weights, with the greatest sum of weights times entries."""
        reached = np.zeros((topology.n_in, topology.n_out))
        if arcs.to_input.size:  # else no output sees two inputs
            cost = np.zeros(arcs.head.size)
            cost[delivered] = -weights[arcs.to_input, arcs.at_output]
            solution = linprog(cost, constraints, np.concatenate(limits), method="highs")
            if solution.x is None:
                raise ArithmeticError(f"HiGHS found no control in {topology!r}: {solution.message}")
            np.add.at(reached, (arcs.to_input, arcs.at_output), solution.x[delivered])
        return reached

    return maximise


def _incidence(ends: NDArray[np.int64], n_rows: int) -> csr_array:
    """The 0-1 matrix with a column for every entry of ``ends``: a one in that row, none where it is -1."""
    columns = np.flatnonzero(ends >= 0)
    return csr_array((np.ones(columns.size), (ends[columns], columns)), (n_rows, ends.size))
