"""The model of controllability (paper, section VI): how control is added, split and capped, layer by layer.

Two forms. Indexed by pairs, control has shape ``(neurons, n_in, n_in)``. With the second input summed out it has shape
``(neurons, n_in)``; only the caps of single pairs are lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from topologies.reach import from_inputs
from topologies.topology import Topology


@dataclass(frozen=True)
class Control:
    """What a topology controls: ``matrix`` is K of shape ``(n_in, n_out)``, and the rest is read off it."""

    matrix: NDArray[np.float64]

    @property
    def wanted(self) -> float:
        """The value of every entry of K under full and fair control, (n_in - 1) / n_in."""
        return 1 - 1 / int(self.matrix.shape[0])

    @cached_property
    def total(self) -> float:
        """Total controllability: the ratios that can be set, at most n_out (n_in - 1)."""
        return float(self.matrix.sum())

    @property
    def mean(self) -> float:
        """Mean entry of K."""
        return float(self.matrix.mean())

    @property
    def variance(self) -> float:
        """Variance of K's entries: the paper's second requirement is that there be none (VII-E)."""
        return float(self.matrix.var())

    @property
    def unfairness(self) -> float:
        """Coefficient of variation of K; 0 where nothing is controlled."""
        return float(np.sqrt(self.variance) / self.mean) if self.total else 0.0

    @property
    def loss(self) -> float:
        """Eq. 20: squared lack of ratios, summed over the outputs."""
        n_in = self.matrix.shape[0]
        return float(np.square(n_in - 1 - self.matrix.sum(axis=0)).sum())

    @property
    def shortfall(self) -> float:
        """What the fair reading minimises, relative to no control at all: mean of (1 - K / wanted)², in [0, 1] or so.

        It is the square of the share of ratios that are missing, plus the variance of K (in units of ``wanted``). With
        one input there is no ratio to miss: 0.
        """
        return float(np.square(1 - self.matrix / self.wanted).mean()) if self.wanted else 0.0


@dataclass(frozen=True)
class Stage:
    """One layer and the neurons after it.

    ``sources`` and ``targets`` are the layer's edges. ``added`` is the control that each of its ``n_out`` neurons can
    add, at most. ``sees``, of shape ``(n_out, inputs of the cascade)``, is whether an input has a path to a neuron.
    """

    n_in: int
    n_out: int
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    added: NDArray[np.int64]
    sees: NDArray[np.bool_]

    @cached_property
    def room(self) -> NDArray[np.int64]:
        """The ratios there are at a neuron, one fewer than it sees inputs (Eq. 11), shape ``(n_out,)``."""
        return np.asarray(np.maximum(self.sees.sum(axis=1) - 1, 0))

    def pairs(self, by_pair: bool) -> NDArray[np.bool_]:
        """Where a neuron can add control: both inputs of a pair are seen, or with pairs summed out, it and another."""
        if by_pair:
            return self.sees[:, :, None] & self.sees[:, None, :] & ~np.eye(self.sees.shape[1], dtype=np.bool_)
        return self.sees & (self.room > 0)[:, None]


def stages(topology: Topology) -> list[Stage]:
    """The layers of a topology as control sees them, inputs first."""
    found = []
    for layer, sees in zip(topology.layers, from_inputs(topology)[1:], strict=True):
        trainable = np.bincount(layer.targets[layer.trainable], minlength=layer.n_out)
        added = np.minimum(trainable, np.maximum(layer.fan_in - 1, 0))
        sources, targets = layer.sources.astype(np.int64), layer.targets.astype(np.int64)
        found.append(Stage(layer.n_in, layer.n_out, sources, targets, added, sees.T))
    return found


def uniform(topology: Topology, by_pair: bool) -> Iterator[NDArray[np.float64]]:
    """The uniform reading: control at the neurons after every layer, in the shape of its form."""
    per_neuron = (topology.n_in,) * (2 if by_pair else 1)
    control = np.zeros((topology.n_in, *per_neuron))  # Eq. 10
    for stage in stages(topology):
        fan_out = np.bincount(stage.sources, minlength=stage.n_in)
        even = csr_array((1 / fan_out[stage.sources], (stage.targets, stage.sources)), (stage.n_out, stage.n_in))
        arriving = np.asarray(even @ control.reshape(stage.n_in, -1)).reshape(stage.n_out, *per_neuron)
        pairs = stage.pairs(by_pair).reshape(stage.n_out, -1)
        added = pairs * (stage.added / np.maximum(pairs.sum(axis=1), 1))[:, None]
        control = limited(arriving + added.reshape(arriving.shape), np.maximum(stage.room, 1))
        yield control


def limited(control: Any, room: Any) -> Any:
    """Control cut down to what Eq. 9 and 11 allow; the shape ``(neurons, n_in, n_in)`` or ``(neurons, n_in)`` stays.

    First to [0, 1], then each pair, then the neuron as a whole. With pairs summed out only the last can be done.
    ``room`` has shape ``(neurons,)`` and is 1 or more. NumPy arrays and torch tensors are both welcome.
    """
    if control.ndim == 3:
        control = control.clip(0, 1)
        control = control / (control + control.swapaxes(1, 2)).clip(1)
    total = control.reshape(len(room), -1).sum(1)
    return control * (room / total.clip(room)).reshape(-1, *[1] * (control.ndim - 1))


def matrix(at_outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """K of the control at the outputs, in either form: shape ``(n_in, n_out)``."""
    return (at_outputs.sum(axis=2) if at_outputs.ndim == 3 else at_outputs).T
