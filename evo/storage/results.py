"""What a search ends with: topologies on the test targets, each with its interval and compared with the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

import numpy as np

from evaluators.example_errors import unpack
from evaluators.task import Score
from evo.storage.estimates import Estimate, estimate, holm, paired
from evo.storage.names import DENSE, EVOLVED, UNSEARCHED
from topologies.stack import AnyTopology


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

    @staticmethod
    def of(found: Estimate) -> Interval:
        """That of an estimate."""
        return Interval(found.mean, found.mean - found.half_width, found.mean + found.half_width)

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
    def is_unknown(self) -> bool:
        """Whether there was a single value, which does not tell how uncertain it is."""
        return self.high == float("inf")

    @property
    def half_width(self) -> float:
        """Half the interval's length."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class SharedWeights:
    """A way to share parameters: how many it has, at most the budget, and its error on the test targets."""

    name: str
    parameters: int
    error: Interval


@dataclass(frozen=True)
class Finalist:
    """A candidate for a row: a topology in canonical form and what it is called."""

    label: str
    topology: AnyTopology


@dataclass(frozen=True)
class Chosen:
    """The finalist that is best on the validation targets, with its score there (and so its learning rate)."""

    finalist: Finalist
    validation: Score


@dataclass(frozen=True)
class Row:
    """A row of the final table: a topology's errors on the test targets, ``difference`` from the baseline's, paired.

    The baseline's own row has no difference. ``example_errors`` are those of every training on every test example,
    where there are such (:mod:`evaluators.example_errors`), and ``is_cross_validated`` says whether ``errors`` are
    those of folds: both decide how uncertain the means are (:mod:`evo.storage.estimates`). ``search_error`` is the
    topology's error by the evaluator that candidates were searched by, where that is another one.
    """

    name: str
    label: str
    topology: AnyTopology
    learning_rate: float | None
    weight_decay: float | None
    error: Interval
    difference: Interval | None
    errors: tuple[float, ...]
    example_errors: str | None = field(default=None, repr=False)
    is_cross_validated: bool = False
    search_error: float | None = None

    def minus(self, other: Row) -> Interval:
        """The mean of (this - other) over the same targets; this one is better where the whole interval is negative."""
        return Interval.of(self.compared(other))

    def compared(self, other: Row) -> Estimate:
        """The mean of (this - other) over the same targets, as :func:`evo.storage.estimates.paired` takes it."""
        examples = None
        if self.example_errors is not None and other.example_errors is not None:
            examples = unpack(self.example_errors) - unpack(other.example_errors)
        return paired(self.errors, other.errors, examples, self.is_cross_validated)


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
    def by_error(self) -> tuple[Row, ...]:
        """All rows, the least error first; of equal ones the first row comes first."""
        return tuple(sorted(self.rows, key=lambda row: (row.error.mean, row is not self.first)))

    @property
    def best(self) -> Row:
        """The row with the least error but dense layers; the first one where its topology has that error too."""
        row = next(row for row in self.by_error if row.name != DENSE)
        return self.first if row.topology == self.first.topology else row

    def unsearched(self, is_founder: bool) -> Row | None:
        """The best row that needs no search, where it should be used in place of the champion; else None.

        That is where the champion is worse than it, or is level with it and worse than no other row. A champion that
        is a founder needed no search either, and gives way only where it is worse.
        """
        rows = [row for row in self.others if row.name in UNSEARCHED and self.first.name == EVOLVED]
        best = min(rows, key=lambda row: row.error.mean, default=None)
        if best is None:
            return None
        is_level = self.verdicts[best.name] is Verdict.LEVEL and not is_founder
        is_beaten = any(self.verdicts[row.name] is Verdict.WORSE for row in self.others if row.name != DENSE)
        return best if self.verdicts[best.name] is Verdict.WORSE or (is_level and not is_beaten) else None

    @property
    def is_deterministic(self) -> bool:
        """Whether no difference has an uncertainty to state."""
        return all(row.difference is None or row.difference.is_deterministic for row in self.rows)

    @cached_property
    def verdicts(self) -> Mapping[str, Verdict]:
        """What the first row is beside every other, by name: better or worse only where Holm's correction over all of
        these comparisons agrees."""
        found = {row.name: self.first.compared(row) for row in self.others}
        held = holm({name: one.p_value for name, one in found.items()})
        sides = {name: Verdict.BETTER if one.mean < 0 else Verdict.WORSE for name, one in found.items()}
        return {name: sides[name] if name in held else Verdict.LEVEL for name in found}

    def by_verdict(self) -> dict[Verdict, list[Row]]:
        """All rows but the first by what that one is beside them: better, level, worse, as far as there are such."""
        found = {one: [row for row in self.others if self.verdicts[row.name] is one] for one in Verdict}
        return {verdict: rows for verdict, rows in found.items() if rows}

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


def final_table(
    finalists: Sequence[tuple[str, Finalist, Score]], baseline: str, is_cross_validated: bool = False
) -> FinalTable:
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
    rows = {
        name: Row(
            name=name,
            label=finalist.label,
            topology=finalist.topology,
            learning_rate=score.learning_rate,
            weight_decay=score.weight_decay,
            error=error_interval(score, is_cross_validated),
            difference=None,
            errors=score.errors,
            example_errors=score.example_errors,
            is_cross_validated=is_cross_validated,
        )
        for name, finalist, score in finalists
    }
    reference = rows[baseline]
    return FinalTable(
        tuple(row if row is reference else replace(row, difference=row.minus(reference)) for row in rows.values()),
        baseline,
    )


def error_interval(score: Score, is_cross_validated: bool = False) -> Interval:
    """A score's mean error with its interval, over trainings and the examples that they were tested on."""
    examples = None if score.example_errors is None else unpack(score.example_errors)
    return Interval.of(estimate(np.array(score.errors), examples, is_cross_validated))


def interval(values: np.ndarray) -> Interval:
    """Mean and Student's 95 % interval: of equal values it is that value, of a single one it has no ends."""
    return Interval.of(estimate(values))
