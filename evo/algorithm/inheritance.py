"""Learning rates and weight decays that offspring inherit, so that they need not be trained at every one of a grid.

Of two topologies that differ by one step of variation the best rates are nearly always the same. Sometimes a neighbour
in the grid is tried instead, so that a lineage can follow where the best ones move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluators.task import Fidelity, Score

NEIGHBOUR_SHARE = 0.2
"""Share of offspring that are trained at a neighbour in the grid of what their parent was best at."""


@dataclass(frozen=True)
class Grid:
    """The learning rates and weight decays that the initial population is tried at."""

    rates: tuple[float, ...]
    weight_decays: tuple[float, ...]


@dataclass(frozen=True)
class Inherited:
    """The one learning rate and weight decay that a candidate is trained at."""

    learning_rate: float
    weight_decay: float

    def of(self, fidelity: Fidelity) -> Fidelity:
        """The fidelity at these alone."""
        return fidelity.at(fidelity.targets, self.learning_rate, self.weight_decay)


def inherited(parent: Score | None, grid: Grid, key: np.random.Generator) -> Inherited | None:
    """What is inherited from a parent's score; None where it chose nothing, so that the whole grid is tried."""
    if parent is None or parent.learning_rate is None:
        return None
    decay = grid.weight_decays[0] if parent.weight_decay is None else parent.weight_decay
    own = Inherited(parent.learning_rate, decay)
    neighbours = [Inherited(rate, decay) for rate in _beside(own.learning_rate, grid.rates)]
    neighbours += [Inherited(own.learning_rate, other) for other in _beside(decay, grid.weight_decays)]
    if key.random() >= NEIGHBOUR_SHARE or not neighbours:
        return own
    return neighbours[int(key.integers(len(neighbours)))]


def _beside(value: float, values: Sequence[float]) -> list[float]:
    """The next smaller and the next greater of some values, where there are such."""
    below, above = [one for one in values if one < value], [one for one in values if one > value]
    return sorted(below)[-1:] + sorted(above)[:1]
