"""Small data and models for the tests of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evaluators.training import Data
from topologies import SparseCascade


def blobs(examples: int = 400, inputs: int = 8, classes: int = 3, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Points around as many middles as there are classes, sorted by class as folders of images are."""
    draw = np.random.default_rng(seed)
    y = np.sort(draw.integers(classes, size=examples))
    return draw.normal(size=(classes, inputs))[y] + 0.4 * draw.normal(size=(examples, inputs)), y


def easy(**changes: Any) -> Data:
    """Three well-separated classes."""
    return Data.of(*blobs(**changes))


def two_layers(cascades: list[SparseCascade], outputs: int) -> nn.Module:
    """A model of one's own, with tanh."""
    return nn.Sequential(*[part for one in cascades for part in (one, nn.Tanh())], nn.Linear(8, outputs))


def without_cascades(cascades: list[SparseCascade], outputs: int) -> nn.Module:
    """Uses the first of its cascades alone."""
    return nn.Sequential(cascades[0], nn.Linear(8, outputs))


def of_another_size(cascades: list[SparseCascade], outputs: int) -> nn.Module:
    """Has an output too many."""
    return two_layers(cascades, outputs + 1)


def frozen(cascades: list[SparseCascade], outputs: int) -> nn.Module:
    """Does not train the last of its cascades."""
    cascades[-1].requires_grad_(False)
    return two_layers(cascades, outputs)


class Looks(nn.Module):
    """Computes with cascades that it does not own, so that no optimiser would train them."""

    def __init__(self, cascades: list[SparseCascade], outputs: int) -> None:
        super().__init__()
        self.apart = (cascades,)
        self.head = nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Through the cascades and the head."""
        for one in self.apart[0]:
            x = torch.relu(one(x))
        return self.head(x)  # type: ignore[no-any-return]
