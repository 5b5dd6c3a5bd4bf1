"""The matrix-reconstruction task: how well a topology's product of sparse layers can become a given matrix.

``min over weights of ‖W_O − S_1 ⊙ M_1 ⋯ S_L ⊙ M_L‖² / ‖W_O‖²`` (Eq. 3), the *relative error*, for each of several
random targets ``W_O``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluators.keys import generator
from evaluators.schedule import one_cycle
from evaluators.targets import target
from evaluators.task import Fidelity, Score, Stream
from topologies.canonical import canonical
from topologies.initialise import initial_weights
from topologies.topology import Topology

WORST = 1.0
"""The relative error of the zero matrix: no target scores worse, not even one that diverged."""


@dataclass(frozen=True)
class Trained:
    """One topology trained on several targets at several peak learning rates.

    ``errors`` has shape ``(rates, targets)``: the least relative error seen, at most 1. ``weights`` has shape
    ``(rates, targets, n_trainable)``: the weights that had it, in the order of the canonical form's edges.
    """

    topology: Topology
    rates: tuple[float, ...]
    errors: NDArray[np.float64]
    weights: NDArray[np.float32]

    @cached_property
    def best(self) -> int:
        """The index of the rate with the least mean error, the smaller rate where two are equal."""
        return int(np.argmin(self.errors.mean(axis=1)))


class MatrixReconstruction:
    """Scores a topology by its relative error on random targets, as good as Adam gets it (paper, section V).

    A score depends on the canonical topology, fidelity, stream and seed alone; each target's error also not on how
    many other targets there are, given the rate. The rate is chosen per topology: a fixed one decides rankings.
    """

    def evaluate(self, topology: Topology, fidelity: Fidelity, stream: Stream, seed: int) -> Score:
        """Relative error of each target at the best rate; see :class:`evaluators.task.Evaluator`."""
        trained = self.train(topology, fidelity, stream, seed)
        return Score(tuple(float(error) for error in trained.errors[trained.best]), trained.rates[trained.best])

    def train(self, topology: Topology, fidelity: Fidelity, stream: Stream, seed: int) -> Trained:
        """Train the canonical form of a topology on every target at every rate, and keep the best weights seen."""
        from evaluators.reconstruction_cpu import train

        topology = canonical(topology)
        goals = np.stack([target(topology.n_in, topology.n_out, i, stream, seed) for i in range(fidelity.targets)])
        starts = np.stack([start_of(topology, i, stream, seed) for i in range(fidelity.targets)])
        n_rates = len(fidelity.rates)
        losses, weights = train(
            topology,
            np.tile(starts, (n_rates, 1)),
            np.tile(goals, (n_rates, 1, 1)),
            np.repeat(fidelity.rates, fidelity.targets),
            one_cycle(fidelity.steps),
        )
        energy = np.square(goals, dtype=np.float64).sum(axis=(1, 2))
        errors = np.minimum(losses.reshape(n_rates, -1) / energy, WORST)
        return Trained(topology, fidelity.rates, errors, weights.reshape(n_rates, fidelity.targets, -1))


def start_of(topology: Topology, index: int, stream: Stream, seed: int) -> NDArray[np.float32]:
    """Initial trainable weights for one target, shape ``(n_trainable,)``; all rates start from the same."""
    draws = initial_weights(topology, generator(seed, "weights", stream.value, topology.digest, index))
    return np.concatenate([weights[layer.trainable] for layer, weights in zip(topology.layers, draws, strict=True)])
