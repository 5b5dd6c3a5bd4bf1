"""`python -m tests.benchmarks.trained.paired TABLE.csv ... --data grey.npz --out FOLDER`: rows of tables, in pairs.

Each row is trained again as the table that has it chose, from the five test seeds, so that rows which were tuned in
different runs, such as a champion and its rivals, are compared on the same seeds and test examples. No row is tuned
here, and rows whose masks come from other rows' training are left out.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

import torch

from tests.benchmarks.trained.champions import FORM, champion
from tests.benchmarks.trained.experiments import FAN_IN, read, shuffled
from tests.benchmarks.trained.jobs import OnDevice
from tests.benchmarks.trained.rows import Row, Setting, dense_rows, patch_rows, random_rows, structured
from tests.benchmarks.trained.tables import AGAINST, clock, measured, write
from tests.benchmarks.trained.tuning import Chosen, Log


def choices(rows: Iterable[Row], tables: Iterable[Path]) -> list[Chosen]:
    """The choice of every row that one of the tables has."""
    by_name = {row.name: row for row in rows}
    found = []
    for path in tables:
        with path.open(encoding="utf-8", newline="") as file:
            for one in csv.DictReader(file):
                if row := by_name.pop(one["row"], None):
                    how = (one["form"], float(one["rate"]), float(one["weight_decay"]))
                    inside = one["no_end_won"] == "True"
                    trainings = int(one["trainings_to_choose"])
                    found.append(Chosen(row, *how, float(one["validation_error"]), inside, trainings))
    return found


def main() -> None:
    """Train the rows that the tables and the masks' makers both have, and write their table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.trained.paired", description=__doc__)
    parser.add_argument("tables", nargs="+", type=Path, help="tables that were written earlier, as CSV")
    parser.add_argument("--data", required=True, help="an .npz file with x_train, y_train, x_test, y_test")
    parser.add_argument("--shuffled", action="store_true", help="with the inputs in the order of the table shuffled")
    parser.add_argument("--out", required=True, type=Path, help="folder for the table")
    parser.add_argument("--champion", action="append", default=[], help=FORM)
    parser.add_argument("--only", action="append", default=[], help="a row; by default all that there are")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    data = shuffled(read(given.data)) if given.shuffled else read(given.data)
    n = data.inputs
    setting = Setting(OnDevice(data, given.device), (n, n, n), (n * FAN_IN,) * 2)
    champions = [champion(text, 2) for text in given.champion]
    rows = [*champions, *patch_rows(setting), *structured(setting), *random_rows(setting), *dense_rows(setting)]
    chosen = choices([row for row in rows if not given.only or row.name in given.only], given.tables)
    wanted = [*given.only, *(row.name for row in champions)]
    if absent := sorted({*wanted} - {one.row.name for one in chosen}) or not chosen:
        parser.error(f"in no table, or not made without training: {absent or 'any row'}")
    name = "paired-shuffled" if given.shuffled else "paired-in-order"
    log = Log(given.out / "trainings.csv", name, clock(name))
    against = (*AGAINST, *(row.name for row in champions))
    write(name, measured(chosen, setting, given.epochs, log), setting, given.out, against)


if __name__ == "__main__":
    main()
