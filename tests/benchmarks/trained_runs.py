"""Trainings of several arms on several seeds: kept in a file as they end, and the table of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from tests.benchmarks.problems import table

T_QUANTILES = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57}
"""The 97.5 % quantile of Student's t by the number of seeds."""


@dataclass(frozen=True)
class Run:
    """One training: what it was, the parameters, the seconds of a step, and what the validation and test data gave.

    ``test`` is the score of each example, or piece of text, of which the mean counts.
    """

    problem: str
    arm: str
    seed: int
    rate: float
    parameters: int
    seconds: float
    validation: float
    test: list[float]

    @property
    def key(self) -> tuple[str, str, int, float]:
        """What tells it from others."""
        return self.problem, self.arm, self.seed, self.rate


def read(file: Path) -> dict[tuple[str, str, int, float], Run]:
    """The runs of a file by key; none where there is no file. A line that a stop cut short is left out."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    runs = [Run(**json.loads(line)) for line in lines if line.endswith("\n")]
    return {run.key: run for run in runs}


def append(file: Path, run: Run) -> None:
    """Add a run to a file."""
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(asdict(run)) + "\n")


def estimate(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Mean of scores ``(seeds, examples)`` and half its 95 % interval, over seeds and over examples together.

    The variance of the means of seeds and that of the means of examples are added, the first by Student's t.
    """
    seeds, examples = scores.shape
    over_seeds = T_QUANTILES[seeds] * scores.mean(1).std(ddof=1) / math.sqrt(seeds)
    over_examples = 1.96 * scores.mean(0).std(ddof=1) / math.sqrt(examples)
    return float(scores.mean()), math.hypot(over_seeds, over_examples)


def runs_table(title: str, unit: str, runs: Iterable[Run], digits: int) -> Table:
    """A row for each arm: its score, and by how much that differs from the dense one's and from the arm before it.

    Differences are paired: of the same seeds and examples. An arm's name is ``kind, density`` except for the dense
    one's; its differences are to the dense arm, and to the first arm of its density.
    """
    arms: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda one: one.seed):
        arms.setdefault(run.arm, []).append(run)
    count = min(len(of_arm) for of_arm in arms.values())
    scores = {arm: np.array([run.test for run in of_arm[:count]]) for arm, of_arm in arms.items()}

    def text(some: NDArray[np.float64], sign: str = "") -> str:
        mean, half = estimate(some)
        return f"{mean:{sign}.{digits}f} ± {half:.{digits}f}"

    result = table(f"{title}, {count} seeds", "layers", "parameters", unit, "to dense", "to the first", "ms", "rate")
    for arm, of_arm in arms.items():
        density = arm.rpartition(", ")[2]
        first = next(one for one in arms if one.rpartition(", ")[2] == density)
        result.add_row(
            arm,
            f"{of_arm[0].parameters:,}",
            text(scores[arm]),
            "" if arm == "dense" else text(scores[arm] - scores["dense"], "+"),
            "" if arm == first else text(scores[arm] - scores[first], "+"),
            f"{1e3 * min(run.seconds for run in of_arm):.0f}",
            f"{of_arm[0].rate:g}",
        )
    return result
