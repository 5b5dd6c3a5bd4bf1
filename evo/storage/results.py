"""What a search ends with: the rows of the final table, their intervals, and the names of all rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from evaluators.task import Score
from topologies.topology import Topology

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Finalist:
    """A candidate for a row: a topology in canonical form and what it is called."""

    label: str
    topology: Topology


@dataclass(frozen=True)
class Chosen:
    """The finalist that the choice stream preferred, with its score there (and so its learning rate)."""

    finalist: Finalist
    choice: Score


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its 95 % confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """A row of the final table; ``difference`` is (this - baseline), paired over the held-out targets."""

    kind: str
    label: str
    topology: Topology
    rate: float | None
    error: Interval
    difference: Interval | None
    errors: tuple[float, ...]


def row(kind: str, label: str, topology: Topology, score: Score, reference: Score | None) -> Row:
    """One row; ``reference`` is the baseline's score on the same targets, None for the baseline itself."""
    difference = None
    if reference is not None:
        difference = interval(np.subtract(score.errors, reference.errors))
    return Row(kind, label, topology, score.rate, interval(np.array(score.errors)), difference, score.errors)


def interval(values: np.ndarray) -> Interval:
    """Mean and Student's 95 % interval; of a single value the interval is that value."""
    mean = float(np.mean(values))
    if values.size < 2:
        return Interval(mean, mean, mean)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, values.size - 1) * np.std(values, ddof=1) / np.sqrt(values.size))
    return Interval(mean, mean - half, mean + half)


BASELINE = "parallel_butterfly"
"""The family whose tuned member is the hand-derived answer (paper, VII-E)."""


KINDS = {
    BASELINE: "parallel butterfly",
    "butterfly": "butterfly",
    "clos": "Clos",
    "hypercube": "hypercube",
    "torus": "torus",
    "random_regular": "random regular",
}
"""The families that are tuned, the baseline first, and what their rows are called."""


GROWTH_RULE = "growth rule"


EVOLVED = "evolved champion"


RANDOM = "random search"
