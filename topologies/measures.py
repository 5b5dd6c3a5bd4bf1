"""What can be said of a topology by counting alone: widths, fans, edges, connectivity, frozen entries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from topologies.layer import Layer
from topologies.product import product
from topologies.reach import from_inputs, step
from topologies.topology import Topology

_UNCOUNTED = np.errstate(over="ignore")
"""More paths than a float can count are infinitely many, and so is what they cost."""


@dataclass(frozen=True)
class Spread:
    """Least, mean and greatest of a number of edges per neuron."""

    least: int
    mean: float
    most: int


@dataclass(frozen=True)
class Fans:
    """Edges into and out of the neurons of one layer, constants included."""

    fan_in: Spread
    fan_out: Spread


@dataclass(frozen=True)
class Summary:
    """Everything below for one topology; see the functions of the same names."""

    widths: tuple[int, ...]
    fans: tuple[Fans, ...]
    n_edges: int
    n_trainable: int
    n_constant: int
    unconnected_pairs: int
    frozen_entries: int
    frozen_lower_bound: float


def summarise(topology: Topology) -> Summary:
    """The measures of a topology, as plain numbers."""
    values = frozen_entries(topology)
    return Summary(
        widths=topology.widths,
        fans=fans(topology),
        n_edges=topology.n_edges,
        n_trainable=topology.n_trainable,
        n_constant=topology.n_constant,
        unconnected_pairs=int(np.sum(values == 0)),  # a frozen entry with no constant path has no path at all
        frozen_entries=int(np.sum(~np.isnan(values))),
        frozen_lower_bound=_lower_bound(values),
    )


def fans(topology: Topology) -> tuple[Fans, ...]:
    """Fan-ins (over the targets) and fan-outs (over the sources) of every layer, inputs first."""
    return tuple(Fans(_spread(layer.fan_in), _spread(layer.fan_out)) for layer in topology.layers)


def frozen_entries(topology: Topology) -> NDArray[np.float64]:
    """The entries of the product matrix that no training moves, and the value each keeps.

    Returns an array of shape ``(n_in, n_out)``: where no path from the input to the output has a trainable edge, the
    number of paths, which are all constant (0 for an unconnected pair); NaN elsewhere. Exact up to 2^53 paths.
    """
    movable = np.zeros((topology.n_in, topology.n_in), dtype=np.bool_)
    for reached, layer in zip(from_inputs(topology), topology.layers, strict=False):
        movable = step(movable, layer) | step(reached, _trainable(layer))
    return np.where(movable, np.nan, path_counts(topology))


@_UNCOUNTED
def path_counts(topology: Topology) -> NDArray[np.float64]:
    """The number of paths from every input to every output, shape ``(n_in, n_out)``; infinite beyond 10^308."""
    return product(topology, [np.ones(layer.n_edges) for layer in topology.layers])


def frozen_lower_bound(topology: Topology) -> float:
    """A relative error that no training gets below, in expectation over targets of i.i.d. N(0, 1) entries.

    A frozen entry of value c costs 1 + c² on average, of n_in·n_out in all (paper, section V).
    """
    return _lower_bound(frozen_entries(topology))


@_UNCOUNTED
def _lower_bound(values: NDArray[np.float64]) -> float:
    frozen = values[~np.isnan(values)]
    return float(np.sum(1 + frozen**2) / values.size)


def _spread(counts: NDArray[np.int64]) -> Spread:
    return Spread(int(counts.min()), float(counts.mean()), int(counts.max()))


def _trainable(layer: Layer) -> Layer:
    kept = layer.trainable
    return Layer(layer.n_in, layer.n_out, layer.sources[kept], layer.targets[kept], layer.trainable[kept])
