"""Which topology a layer of given sizes gets, or why it gets none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from topologies.kernel.way import predicted_time
from topologies.layer import Layer
from topologies.models.matrices import Matrix
from topologies.names import DEFAULT_FAMILY, OtherSizesError, Source, at_sizes, checked
from topologies.reach import unconnected_share
from topologies.topology import Topology

ROWS = 512
"""The batch for which times are predicted."""


class Choice(NamedTuple):
    """The topology of a layer, the words for it, its predicted time over the dense layer's, and unconnected pairs.

    ``unconnected`` is the share of pairs of an input and an output, which only a lifted topology is asked for.
    """

    topology: Topology
    text: str
    time: float
    unconnected: float


@dataclass(frozen=True)
class Chooser:
    """The rule by which layers get topologies: matrices of the same sizes get the same one, built once.

    The fields are as in :func:`topologies.models.plan`; ``source`` is what it calls ``topology``, checked, and
    ``file`` the name of the file that it was read from.
    """

    source: Source
    file: str | None
    density: float | None
    budget: int | None
    lift: bool
    only_if_faster: bool
    diagonal: bool
    _known: dict[Matrix, tuple[Matrix, Choice] | str] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(
        topology: Source | None,
        density: float | None,
        budget: int | None,
        lift: bool,
        only_if_faster: bool,
        diagonal: bool,
    ) -> Chooser:
        """The rule of a plan's arguments.

        Raises
        ------
        ValueError
            When they contradict each other, or are wrong at any sizes.
        """
        if density is not None and budget is not None:
            raise ValueError("density and budget are both given: each says how many trainable weights there may be")
        if density is not None and not (isinstance(density, int | float | np.floating) and 0 < density < 1):
            raise ValueError(f"density is {density!r}: a share of the dense weights is wanted, above 0 and below 1")
        if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int | np.integer) or budget < 1):
            raise ValueError(f"budget is {budget!r}: a whole number of trainable weights is wanted, from 1")
        density, budget = None if density is None else float(density), None if budget is None else int(budget)
        source = checked(DEFAULT_FAMILY if topology is None else topology)
        by_budget = isinstance(source, str) and source.isidentifier()
        if by_budget and density is None and budget is None:
            raise ValueError(f"how many trainable weights may {source} have? Give a density, a budget, or a topology")
        if not by_budget and (density is not None or budget is not None):
            given = "density" if budget is None else "budget"
            raise ValueError(f"{given} goes with a family's name, such as 'clos', or none; {topology!r} says it itself")
        file = Path(topology).name if isinstance(topology, str | PathLike) and isinstance(source, Topology) else None
        return Chooser(source, file, density, budget, lift, only_if_faster, diagonal)

    def choice(self, matrix: Matrix) -> tuple[Matrix, Choice] | str:
        """The topology of a matrix, and the matrix as the budget made it, or the reason why there is none.

        Raises
        ------
        OtherSizesError
            When the topology has other sizes.
        """
        matrix = replace(matrix, path="")
        if matrix not in self._known:
            self._known[matrix] = self._choose(matrix)
        return self._known[matrix]

    def _choose(self, matrix: Matrix) -> tuple[Matrix, Choice] | str:
        dense, edges = matrix.n_dense, None
        budget = self.budget if self.density is None else max(1, int(self.density * dense))
        if budget is not None:
            if budget >= dense:
                return f"its {dense:,} dense weights are within the budget"
            matrix = matrix.within(budget)
            edges = budget - matrix.n_beside
            if matrix.n_beside:  # filters so many that what is left is enough for a dense mixing
                edges = min(edges, matrix.n_in * matrix.n_out - 1)
            if self.diagonal:
                edges -= matrix.n_out
            if edges < 1:
                return f"{budget:,} weights are fewer than its filters and its diagonal layer have"
        try:
            topology, text, lifted = at_sizes(self.source, matrix.n_in, matrix.n_out, edges, lift=self.lift)
        except OtherSizesError:
            raise
        except ValueError as problem:
            return f"{problem}"
        if self.diagonal:
            topology, text = with_diagonal(topology), f"{text}, diagonal"
        if topology.n_trainable + matrix.n_beside >= dense:
            beside = f" and the filters' {matrix.n_beside:,}" if matrix.n_beside else ""
            return (
                f"the topology's {topology.n_trainable:,} trainable edges{beside} are no fewer than its {dense:,} "
                "weights"
            )
        time = time_of(topology, matrix)
        if self.only_if_faster and time >= 1:
            return f"it would train no faster: {time:.2f} of the dense layer's time is predicted"
        unconnected = unconnected_share(topology) if lifted else 0.0
        words = f"{self.file or text}{', lifted' if lifted else ''}"
        return matrix, Choice(topology, words, time, unconnected)


def with_diagonal(topology: Topology) -> Topology:
    """The topology with a trainable weight behind every output (appendix A).

    Without it every layer of most families has constant edges, so that some paths count 1 whatever is trained, and the
    product cannot be small all over.
    """
    outputs = np.arange(topology.n_out)
    last = Layer(topology.n_out, topology.n_out, outputs, outputs, np.ones(topology.n_out, dtype=np.bool_))
    return Topology((*topology.layers, last))


def time_of(topology: Topology, matrix: Matrix) -> float:
    """Time of training on ``ROWS`` rows over the dense layer's; filters count as their share of its products."""
    if matrix.is_folded:  # the identity goes through the cascade, and the dense layer is computed as well
        return 1 + predicted_time(topology, topology.n_in) * topology.n_in / ROWS
    return (predicted_time(topology, ROWS) * matrix.n_in * matrix.n_out + matrix.n_beside) / matrix.n_dense
