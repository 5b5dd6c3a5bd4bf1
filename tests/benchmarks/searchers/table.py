"""What `python -m tests.benchmarks.searchers` found: ratios of errors with intervals over seeds, and a picture."""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from evo.storage.estimates import estimate

BASELINE, RANDOM_REGULAR, OURS = "parallel butterfly", "random regular", "evolution"
COLUMNS = ("size", "budget", "seed", "searcher", "core_seconds", "candidates", "error")

Problem = tuple[str, int]
"""Size and budget."""
Runs = Mapping[tuple[str, float], Mapping[int, float]]
"""The error of every seed, by searcher and core seconds; a row that needs no search has 0 of them."""


def read(path: Path) -> dict[Problem, Runs]:
    """The errors in a file of lines; the last one counts where a run was made twice."""
    found: dict[Problem, dict[tuple[str, float], dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            problem = (line["size"], int(line["budget"]))
            found[problem][line["searcher"], float(line["core_seconds"])][int(line["seed"])] = float(line["error"])
    return dict(found)


def ratio(of: Mapping[int, float], over: Mapping[int, float]) -> tuple[float, float, float]:
    """Geometric mean of the ratios of errors of equal seeds, and its 95 % interval (Student's, of the logarithms)."""
    seeds = sorted(of.keys() & over.keys())
    found = estimate(np.array([np.log(of[seed] / over[seed]) for seed in seeds]))
    mean, low, high = np.exp([found.mean, found.mean - found.half_width, found.mean + found.half_width])
    return float(mean), float(low), float(high)


def table(problems: Mapping[Problem, Runs]) -> str:
    """A line for every size, budget and time: evolution over every other row; below 1 evolution is better."""
    others = [BASELINE, RANDOM_REGULAR]
    others += sorted({name for runs in problems.values() for name, _ in runs} - {*others, OURS})
    lines = ["| size | edges | core seconds | " + " | ".join(others) + " |", "|---" * (3 + len(others)) + "|"]
    for (size, budget), runs in sorted(problems.items()):
        for seconds in sorted(at for name, at in runs if name == OURS):
            cells = []
            for name in others:
                over = runs.get((name, 0.0), runs.get((name, seconds)))
                mean, low, high = ratio(runs[OURS, seconds], over) if over else (0.0, 0.0, 0.0)
                cells.append(f"{mean:.3f} ({low:.3f} to {high:.3f})" if over else "")
            lines.append(f"| {size} | {budget} | {seconds:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def picture(problems: Mapping[Problem, Runs]) -> Figure:
    """Error over the baseline's against core seconds, a panel a problem, with the interval over seeds as a band."""
    figure = Figure(figsize=(4.2 * len(problems), 3.6), layout="constrained")
    panels = figure.subplots(1, len(problems), squeeze=False)[0]
    for panel, ((size, budget), runs) in zip(panels, sorted(problems.items()), strict=True):
        for name in sorted({name for name, at in runs if at}, key=lambda name: (name != OURS, name)):
            at = sorted(seconds for one, seconds in runs if one == name)
            mean, low, high = np.array([ratio(runs[name, seconds], runs[BASELINE, 0.0]) for seconds in at]).T
            (line,) = panel.plot(at, mean, marker="o", label=name, linewidth=2.5 if name == OURS else 1.5)
            panel.fill_between(at, low, high, alpha=0.15, color=line.get_color())
        panel.axhline(1, color="grey", linewidth=1)
        panel.set(title=f"{size}, {budget} edges", xlabel="core seconds", ylabel=f"test error / {BASELINE}'s")
    panels[-1].legend()
    return figure


def main() -> None:
    """Print the table of a file of lines, and draw it where a picture is wanted."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.searchers.table", description=__doc__)
    parser.add_argument("lines", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    found = read(given.lines)
    print(table(found))
    if given.picture is not None:
        picture(found).savefig(given.picture, dpi=200)


if __name__ == "__main__":
    main()
