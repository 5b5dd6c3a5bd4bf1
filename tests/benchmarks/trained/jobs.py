"""What the batched trainer is asked and what it answers: a job, what became of it, and the data on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evaluators.training.data import Data, Part
from evaluators.training.training import alone, batch_size
from tests.benchmarks.trained.shapes import shape
from topologies.initialise import initial_weights
from topologies.topology import Topology


@dataclass(frozen=True)
class Job:
    """One training: a cascade for every place, and how it is trained.

    With ``regrown`` the edges are only where the training starts: all weights of every place (one layer each) are kept,
    those of absent edges at zero, so that edges can move.
    """

    places: tuple[Topology, ...]
    rate: float
    weight_decay: float
    seed: int
    epochs: int
    regrown: bool = False

    @property
    def kind(self) -> Any:
        """What jobs of one batch have in common."""
        widths = tuple(topology.widths for topology in self.places)
        what = widths if self.regrown else tuple(shape(topology) for topology in self.places)
        count = tuple(topology.n_trainable for topology in self.places) if self.regrown else None
        return (self.epochs, self.regrown, what, count)


@dataclass(frozen=True)
class Trained:
    """What became of a job: which examples it gets right, bool of shape ``(examples,)``, and its weights if wanted.

    ``weights`` has for every place the values of its trainable edges in the topology's order, or of all entries in
    order of (target, source) where edges could move.
    """

    job: Job
    validation: NDArray[np.bool_]
    test: NDArray[np.bool_]
    weights: tuple[NDArray[np.float32], ...] = ()

    @property
    def validation_error(self) -> float:
        """Share of the validation part that is labelled wrongly."""
        return float(1 - self.validation.mean())

    @property
    def test_error(self) -> float:
        """Share of the test part that is labelled wrongly."""
        return float(1 - self.test.mean())


class OnDevice:
    """The parts of classified data on a device."""

    def __init__(self, data: Data, device: torch.device | str) -> None:
        self.data, self.device = data, torch.device(device)
        self.batch = batch_size(len(data.train))
        self.train, self.validation, self.test = (self._of(part) for part in (data.train, data.validation, data.test))

    def _of(self, part: Part) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(part.x).to(self.device), torch.from_numpy(part.y).to(self.device)


def first_weights(
    places: Sequence[Topology], outputs: int, draws: np.random.Generator
) -> tuple[list[list[NDArray[np.float32]]], nn.Linear]:
    """What :class:`evaluators.training.models.Perceptron` starts from: weights of all layers, trainable, and the head.

    They are drawn in the order in which the evaluator makes its model, so equal seeds give equal weights.
    """
    with alone(int(draws.integers(2**63 - 1))):
        drawn = []
        for topology in places:
            own = np.random.default_rng(int(torch.randint(2**63 - 1, (), device="cpu")))
            weights = initial_weights(topology, own)
            drawn.append([one[layer.trainable] for one, layer in zip(weights, topology.layers, strict=True)])
        return drawn, nn.Linear(places[-1].n_out, outputs)
