"""What a search ends with: topologies on the test targets, each with its interval and compared with the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy import stats

from evaluators.task import Score
from topologies.topology import Topology

CONFIDENCE = 0.95


class Verdict(StrEnum):
    """What an interval says of a difference of errors."""

    BETTER = "better"
    LEVEL = "level"
    WORSE = "worse"


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its 95 % confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """What the interval says as a difference (this - other) of errors, of which the smaller is better."""
        if self.high < 0:
            return Verdict.BETTER
        return Verdict.WORSE if self.low > 0 else Verdict.LEVEL

    @property
    def is_deterministic(self) -> bool:
        """Whether all values were equal, so that they are no sample and there is no uncertainty to state."""
        return self.low == self.high

    @property
    def half_width(self) -> float:
        """Half the interval's length."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Finalist:
    """A candidate for a row: a topology in canonical form and what it is called."""

    label: str
    topology: Topology


@dataclass(frozen=True)
class Chosen:
    """The finalist that is best on the validation targets, with its score there (and so its learning rate)."""

    finalist: Finalist
    validation: Score


@dataclass(frozen=True)
class Row:
    """A row of the final table: a topology's errors on the test targets, ``difference`` from the baseline's, paired.

    The baseline's own row has no difference. ``search_error`` is the topology's error by the evaluator that candidates
    were searched by, where that is another one.
    """

    name: str
    label: str
    topology: Topology
    learning_rate: float | None
    weight_decay: float | None
    error: Interval
    difference: Interval | None
    errors: tuple[float, ...]
    search_error: float | None = None

    def minus(self, other: Row) -> Interval:
        """The mean of (this - other) over the same targets; this one is better where the whole interval is negative."""
        return _difference(self.errors, other.errors)


@dataclass(frozen=True)
class FinalTable:
    """The rows of a comparison on test targets, of which the one called ``baseline`` is the topology to beat.

    The first row is what the table is about: a search's champion, or the baseline itself.
    """

    rows: tuple[Row, ...]
    baseline_name: str

    @property
    def first(self) -> Row:
        """The row that the table is about."""
        return self.rows[0]

    @property
    def others(self) -> tuple[Row, ...]:
        """All rows but the first."""
        return self.rows[1:]

    @property
    def baseline(self) -> Row:
        """The row of the topology to beat."""
        return next(row for row in self.rows if row.name == self.baseline_name)

    @property
    def is_deterministic(self) -> bool:
        """Whether no difference has an uncertainty to state."""
        return all(row.difference is None or row.difference.is_deterministic for row in self.rows)

    def with_search_errors(self, errors: Mapping[str, float | None]) -> FinalTable:
        """The table with errors by the evaluator that candidates were searched by, by the names of rows."""
        rows = (replace(row, search_error=errors.get(row.name)) for row in self.rows)
        return replace(self, rows=tuple(rows))

    @property
    def is_staged(self) -> bool:
        """Whether rows have an error by another evaluator besides."""
        return any(row.search_error is not None for row in self.rows)

    def get(self, name: str) -> Row | None:
        """The row of this name, if there is one."""
        return next((row for row in self.rows if row.name == name), None)


def final_table(finalists: Sequence[tuple[str, Finalist, Score]], baseline: str) -> FinalTable:
    """The table of the finalists' scores on the test targets, by the names of their rows.

    Raises
    ------
    ValueError
        When none of them is called ``baseline``, or they have different numbers of errors.
    """
    scores = {name: score for name, _, score in finalists}
    if baseline not in scores:
        raise ValueError(f"there is no row called {baseline!r}")
    counts = {name: len(score.errors) for name, score in scores.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"rows have different numbers of errors, so they cannot be paired: {counts}")
    reference = scores[baseline].errors
    rows = []
    for name, finalist, score in finalists:
        difference = None if name == baseline else _difference(score.errors, reference)
        error = interval(np.array(score.errors))
        chosen = (score.learning_rate, score.weight_decay)
        rows.append(Row(name, finalist.label, finalist.topology, *chosen, error, difference, score.errors))
    return FinalTable(tuple(rows), baseline)


def _difference(first: Sequence[float], second: Sequence[float]) -> Interval:
    """The paired differences (first - second); those that are equal but for rounding are equal."""
    differences = np.subtract(first, second)
    rounding = 1e-12 * max(np.abs(first).max(), np.abs(second).max())
    if np.ptp(differences) <= rounding:
        mean = float(np.mean(differences))
        return Interval(mean, mean, mean)
    return interval(differences)


def interval(values: np.ndarray) -> Interval:
    """Mean and Student's 95 % interval; of values that are all equal the interval is that value."""
    if np.all(values == values[0]):
        only = float(values[0])
        return Interval(only, only, only)
    mean = float(np.mean(values))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, values.size - 1) * np.std(values, ddof=1) / np.sqrt(values.size))
    return Interval(mean, mean - half, mean + half)
