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
from tests.benchmarks.trained.experiments import EXPERIMENTS, Given, read


def main() -> None:
    """Make the tables that are asked for, in that order."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.trained", description=__doc__)
    told = f"tables to make, in this order, of {', '.join(EXPERIMENTS)}; shuffled@mnist.npz:16@8 takes other data, the "
    told += "images averaged to 16 x 16, and 8 epochs"
    parser.add_argument("experiments", nargs="+", help=told)
    parser.add_argument("--data", default="", help="an .npz file with x_train, y_train, x_test, y_test")
    parser.add_argument("--out", required=True, type=Path, help="folder for the tables")
    parser.add_argument("--champion", action="append", default=[], help=FORM)
    parser.add_argument("--only", action="append", default=[], help="a row of the main tables; others are left out")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="no table is begun after so many")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    try:
        champions = tuple(champion(text, 2) for text in given.champion)
        wanted = [_wanted(text, given.data, given.epochs) for text in given.experiments]
    except ValueError as error:
        parser.error(str(error))
    for name, data, epochs in wanted:
        if time.perf_counter() - start > given.seconds:
            print(f"not begun, the time is over: {name} {data}", flush=True)
            continue
        stem = Path(data.partition(":")[0]).stem
        EXPERIMENTS[name](Given(read(data), given.device, epochs, given.out, stem, champions, tuple(given.only)))


def _wanted(text: str, data: str, epochs: int) -> tuple[str, str, int]:
    """An experiment's name, data and epochs; ValueError where there is no such experiment or file."""
    name, other, own = [*text.split("@"), "", ""][:3]
    data = other or data
    if name not in EXPERIMENTS:
        raise ValueError(f"there is no experiment {name!r}: known are {', '.join(EXPERIMENTS)}")
    if not Path(data.partition(":")[0]).is_file():
        raise ValueError(f"{text} has no data: there is no file {data!r}")
    return name, data, int(own or epochs)


if __name__ == "__main__":
    main()
