"""What predicts accuracy: Spearman correlations with the test error, over all topologies and within the best third.

    python -m tests.benchmarks.trained.correlate FOLDER NAME

Reads ``topologies-NAME.csv`` and ``measures-NAME.csv`` of the folder and writes ``predictors-NAME.csv``. Intervals are
of a bootstrap over the topologies; those of the best third are drawn within it.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

DRAWS = 2000
"""Bootstrap draws."""
NO_PREDICTOR = {"topology", "rate", "test_error", "test_error_deviation", "trainable_edges"}
"""Columns that name a topology, or that only training at full length gives."""

_Floats = NDArray[np.float64]


def spearman(measure: _Floats, error: _Floats, draw: np.random.Generator) -> tuple[float, float, float]:
    """The rank correlation and the ends of its interval of 95 %; NaN where a side never changes."""
    if np.ptp(measure) == 0 or np.ptp(error) == 0:
        return (float("nan"),) * 3
    drawn = []
    for _ in range(DRAWS):
        at = draw.integers(len(error), size=len(error))
        if np.ptp(measure[at]) and np.ptp(error[at]):
            drawn.append(spearmanr(measure[at], error[at]).statistic)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(spearmanr(measure, error).statistic), float(low), float(high)


def predictors(columns: dict[str, list[str]]) -> list[dict[str, str]]:
    """A line for every column that could predict the test error."""
    error = np.array(columns["test_error"], dtype=float)
    best = np.argsort(error, kind="stable")[: len(error) // 3]
    lines = []
    for name, values in columns.items():
        if name in NO_PREDICTOR:
            continue
        measure, draw = np.array(values, dtype=float), np.random.default_rng(0)
        line = {"measure": name}
        for part, at in (("all", np.arange(len(error))), ("best third", best)):
            found = spearman(measure[at], error[at], draw)
            line |= {part: f"{found[0]:.2f}", f"{part}, interval": f"{found[1]:.2f} to {found[2]:.2f}"}
        lines.append(line)
    return lines


def main() -> None:
    """Write the table and print it."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    columns: dict[str, list[str]] = {}
    order: list[str] = []
    for file in ("topologies", "measures"):
        if not (folder / f"{file}-{name}.csv").is_file():
            sys.exit(f"there is no {folder / f'{file}-{name}.csv'}")
        with (folder / f"{file}-{name}.csv").open(encoding="utf-8") as text:
            lines = {line["topology"]: line for line in csv.DictReader(text)}
        order = order or list(lines)
        columns |= {key: [lines[one][key] for one in order] for key in next(iter(lines.values()))}
    found = predictors(columns)
    with (folder / f"predictors-{name}.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(found[0]))
        writer.writeheader()
        writer.writerows(found)
    shown = Table(title=f"Spearman with the test error of {len(order)} topologies, {name}")
    for key in found[0]:
        shown.add_column(key)
    for line in found:
        shown.add_row(*line.values())
    Console().print(shown)


if __name__ == "__main__":
    main()
