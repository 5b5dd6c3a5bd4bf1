"""`python -m tests.benchmarks.trained shuffled order --data grey.npz --out FOLDER`: tables of rivals, on any device.

It needs PyTorch, NumPy, SciPy, numba and safetensors alone. Each table is written as soon as it is there, first without
the rows whose masks come from other rows' trained weights.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from tests.benchmarks.trained.champions import FORM, champion
from tests.benchmarks.trained.experiments import EXPERIMENTS, Job, read


def main() -> None:
    """Make the tables that are asked for, in that order."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.trained", description=__doc__)
    parser.add_argument("experiments", nargs="+", choices=list(EXPERIMENTS), help="tables to make, in this order")
    parser.add_argument("--data", required=True, help="an .npz file with x_train, y_train, x_test, y_test")
    parser.add_argument("--out", required=True, type=Path, help="folder for the tables")
    parser.add_argument("--champion", action="append", default=[], help=FORM)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="no table is begun after so many")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    try:
        champions = tuple(champion(text, 2) for text in given.champion)
        job = Job(read(given.data), given.device, given.epochs, given.out, champions)
    except ValueError as error:
        parser.error(str(error))
    for name in given.experiments:
        if time.perf_counter() - start > given.seconds:
            print(f"not begun, the time is over: {name}", flush=True)
            continue
        EXPERIMENTS[name](job)


if __name__ == "__main__":
    main()
