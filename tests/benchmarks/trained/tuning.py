"""Every row gets the same grid of learning rate and weight decay, and more of it where an end of the grid wins."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.trained.jobs import Job, Trained
from tests.benchmarks.trained.rows import Row, Setting
from tests.benchmarks.trained.together import Told, train_all

DECAYS = (0.0, 0.1, 0.3)
"""Decoupled weight decays that every row is tried with; AdamW multiplies them by the learning rate."""
RATES = (0.0025, 0.005, 0.01, 0.02)
"""Peak learning rates that every row is tried with."""
MORE_DECAY, MORE_RATE = 3.0, 2.0
"""Factors by which a grid grows at an end that wins."""
ROUNDS = 4
"""Times that grids may grow."""
TUNING_SEEDS, TEST_SEEDS = (0, 1), (10, 11, 12, 13, 14)
"""Seeds of the trainings that choose, and of those whose test errors are told."""

Point = tuple[str, float, float]
"""A form of a row, a learning rate and a weight decay."""


@dataclass(frozen=True)
class Chosen:
    """A row's best form, learning rate and weight decay by the mean error on the validation part."""

    row: Row
    form: str
    rate: float
    weight_decay: float
    validation_error: float
    inside: bool
    trainings: int

    def jobs(self, epochs: int, seeds: Sequence[int]) -> list[Job]:
        """Trainings of the choice."""
        how = (self.rate, self.weight_decay)
        return [Job(self.row.forms[self.form], *how, seed, epochs, self.row.regrown) for seed in seeds]


@dataclass
class Log:
    """Every training as a line of a CSV file, written at once."""

    path: Path
    table: str
    tell: Told = print
    _columns: tuple[str, ...] = field(
        default=("table", "row", "form", "rate", "weight_decay", "seed", "epochs", "validation_error"), init=False
    )

    @contextmanager
    def _open(self) -> Iterator[Any]:
        fresh = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(self._columns)
            yield writer

    def add(self, names: Sequence[tuple[str, str]], trained: Sequence[Trained]) -> None:
        """Write what came of trainings whose rows and forms are given."""
        with self._open() as writer:
            for (row, form), one in zip(names, trained, strict=True):
                job = one.job
                how = (job.rate, job.weight_decay, job.seed, job.epochs, f"{one.validation_error:.5f}")
                writer.writerow((self.table, row, form, *how))


def tuned(
    rows: Sequence[Row],
    setting: Setting,
    epochs: int,
    log: Log,
    rates: Sequence[float] | None = None,
    decays: Sequence[float] | None = None,
    rounds: int = ROUNDS,
) -> list[Chosen]:
    """The best form, rate and decay of every row; grids grow until no end wins, ``rounds`` times at most."""
    errors: list[dict[Point, float]] = [{} for _ in rows]
    grid = [(rate, decay) for rate in rates or RATES for decay in decays or DECAYS]
    wanted: list[list[Point]] = [[(form, *how) for form in row.forms for how in grid] for row in rows]
    for _ in range(1 + rounds):
        if not any(wanted):
            break
        _try(rows, wanted, errors, setting, epochs, log)
        wanted = [beyond(found) for found in errors]
    return [_chosen(row, found) for row, found in zip(rows, errors, strict=True)]


def _try(
    rows: Sequence[Row],
    wanted: Sequence[Sequence[Point]],
    errors: Sequence[dict[Point, float]],
    setting: Setting,
    epochs: int,
    log: Log,
) -> None:
    """Train at the points wanted, from every tuning seed, and note the mean errors."""
    points = [(at, point) for at, points in enumerate(wanted) for point in points]
    jobs = [
        Job(rows[at].forms[form], rate, decay, seed, epochs, rows[at].regrown)
        for at, (form, rate, decay) in points
        for seed in TUNING_SEEDS
    ]
    trained = train_all(jobs, setting.data, tell=log.tell)
    log.add([(rows[at].name, point[0]) for at, point in points for _ in TUNING_SEEDS], trained)
    means = np.array([one.validation_error for one in trained]).reshape(len(points), -1).mean(axis=1)
    for (at, point), mean in zip(points, means.tolist(), strict=True):
        errors[at][point] = mean


def beyond(errors: dict[Point, float]) -> list[Point]:
    """Points to try next: past each end of the grid at which the best one lies. No decay is an end that may win."""
    form, rate, decay = min(errors, key=lambda point: (errors[point], point))
    rates = sorted({point[1] for point in errors if point[0] == form})
    decays = sorted({point[2] for point in errors if point[0] == form})
    near = _neighbours(rates, rate, MORE_RATE)
    strong = _neighbours(decays, decay, MORE_DECAY)
    if rate not in (rates[0], rates[-1]) and decay != decays[-1]:
        return []
    return [(form, one, other) for one in near for other in strong if (form, one, other) not in errors]


def _neighbours(values: list[float], value: float, factor: float) -> list[float]:
    """A value of a grid and those beside it, past its ends too."""
    at = values.index(value)
    below = [values[at - 1]] if at else [value / factor] * (value > 0)
    above = values[at + 1] if at + 1 < len(values) else value * factor
    return [*below, value, above]


def _chosen(row: Row, errors: dict[Point, float]) -> Chosen:
    best = min(errors, key=lambda point: (errors[point], point))
    return Chosen(row, *best, errors[best], not beyond(errors), len(errors) * len(TUNING_SEEDS))
