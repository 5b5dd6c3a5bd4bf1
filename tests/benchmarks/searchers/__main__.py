"""Evolution beside other searchers: the same space, evaluator, founders and core time, errors on test targets.

Rivals are evolution with fewer candidates in flight, random search, a plain (mu + lambda) evolution, and Optuna's TPE
and CMA-ES on the statistics of layers (depth, widths, constants, shares of the budget; the wiring is drawn at random).
Every candidate is trained on 8 targets at one learning rate, and on 32 where it would join the best eight, of which the
validation targets choose one. Needs `pip install evofabric[bench]`; one core:

    python -m tests.benchmarks.searchers --budgets 160 640 --seeds 5 --seconds 30 60 --out lines.csv
    python -m tests.benchmarks.searchers.table lines.csv --picture searchers.png
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import argparse
import csv
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks.searchers.problem import Elite, Problem, error_on_test_targets, problem
from tests.benchmarks.searchers.rivals import SEARCHERS
from tests.benchmarks.searchers.table import BASELINE, COLUMNS, RANDOM_REGULAR


def run(name: str, of: Problem, seed: int, seconds: Sequence[float]) -> Iterator[tuple[float, int, float]]:
    """After so many core seconds each: candidates, and the champion's test error."""
    elite = Elite(seed)
    steps = SEARCHERS[name](of, elite, seed)
    spent, scored = 0.0, 0
    for stop in sorted(seconds):
        while spent < stop:
            start = time.process_time()
            next(steps)
            spent, scored = spent + time.process_time() - start, scored + 1
        yield stop, scored, error_on_test_targets([topology for topology, _ in elite.known], seed)


def main() -> None:
    """Run every searcher from every seed, and write a line each."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.searchers", description=__doc__)
    parser.add_argument("--size", default="32x32")
    parser.add_argument("--budgets", type=int, nargs="+", default=[160, 640])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, nargs="+", default=[30.0, 60.0])
    parser.add_argument("--only", nargs="+", choices=SEARCHERS, default=list(SEARCHERS))
    parser.add_argument("--out", type=Path, default=Path("searchers.csv"))
    given = parser.parse_args()
    n_in, n_out = map(int, given.size.split("x"))
    with given.out.open("a", newline="") as file:
        lines = csv.writer(file)
        if not file.tell():
            lines.writerow(COLUMNS)
        for budget in given.budgets:
            of = problem(n_in, n_out, budget)
            rows = {BASELINE: of.baseline, RANDOM_REGULAR: of.random_regular}
            for seed in range(1, given.seeds + 1):
                for name, row in rows.items():
                    if row is not None:
                        error = error_on_test_targets([row], seed)
                        lines.writerow([given.size, budget, seed, name, 0, 0, f"{error:.6f}"])
                for name in given.only:
                    for stop, scored, error in run(name, of, seed, given.seconds):
                        lines.writerow([given.size, budget, seed, name, stop, scored, f"{error:.6f}"])
                        file.flush()


if __name__ == "__main__":
    main()
