"""A table of rows with their test errors: tuned, trained from five seeds, compared in pairs, written as it grows."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.trained.jobs import Trained
from tests.benchmarks.trained.pruning import kept
from tests.benchmarks.trained.rigl import masks_of
from tests.benchmarks.trained.rows import Row, Setting
from tests.benchmarks.trained.statistics import Estimate, estimate, holm
from tests.benchmarks.trained.together import Told, train_all
from tests.benchmarks.trained.tuning import TEST_SEEDS, TUNING_SEEDS, Chosen, Log, tuned
from topologies.shuffle import shuffled
from topologies.stack import Stack

AGAINST = ("parallel butterfly", "correlation patches")
"""Rows that every other is compared with."""
CONTROLS = 3
"""The best rows, by validation, whose masks are shuffled within their layers."""


@dataclass(frozen=True)
class Line:
    """A row with its choice, and which test examples it gets wrong from every test seed: bool ``(seeds, examples)``."""

    chosen: Chosen
    wrong: NDArray[np.bool_]


def table(name: str, rows: Sequence[Row], setting: Setting, epochs: int, out: Path, follow: bool = True) -> list[Line]:
    """Make a table, and write it to ``out`` as CSV and JSON: first without and then with what follows from others.

    What follows are rows whose masks come from trained rows: RigL's mask and magnitude pruning of the dense one, both
    trained again, and the best rows shuffled.
    """
    log = Log(out / "trainings.csv", name, clock(name))
    lines = measured(tuned(rows, setting, epochs, log), setting, epochs, log)
    write(name, lines, setting, out)
    if follow and (later := _following(lines, setting, epochs)):
        lines += measured(tuned(later, setting, epochs, log), setting, epochs, log)
        write(name, lines, setting, out)
    return lines


def measured(chosen: Sequence[Chosen], setting: Setting, epochs: int, log: Log) -> list[Line]:
    """The test errors of the choices; this is where the test part is read."""
    jobs = [job for one in chosen for job in one.jobs(epochs, TEST_SEEDS)]
    trained = train_all(jobs, setting.data, test=True, tell=log.tell)
    log.add([(one.row.name, one.form) for one in chosen for _ in TEST_SEEDS], trained)
    wrong = ~np.array([one.test for one in trained]).reshape(len(chosen), len(TEST_SEEDS), -1)
    return [Line(one, answers) for one, answers in zip(chosen, wrong, strict=True)]


def _following(lines: Sequence[Line], setting: Setting, epochs: int) -> list[Row]:
    """Rows whose masks are made of trained networks, or of the best rows."""
    rows = []
    for line in lines:
        if line.chosen.row.regrown:
            (grown,) = _from_source(line.chosen, setting, epochs)
            rows.append(Row("RigL, its mask retrained", {"": masks_of(grown)}))
        if line.chosen.row.name == "dense":
            (dense,) = _from_source(line.chosen, setting, epochs)
            sizes = [abs(one) for one in dense.weights]
            for everywhere, told in ((False, "per layer"), (True, "over all layers")):
                mask = kept(setting.widths, sizes, setting.budgets, everywhere)
                rows.append(Row(f"magnitude pruning, {told}, retrained", {"": mask}))
    still = [line.chosen for line in lines if not line.chosen.row.regrown and "dense" not in line.chosen.row.name]
    for best in sorted(still, key=lambda one: one.validation_error)[:CONTROLS]:
        mask = shuffled(Stack(best.row.forms[best.form]), np.random.default_rng(0)).places
        rows.append(Row(f"{best.row.name}, shuffled", {best.form: mask}, "a control"))
    return rows


def _from_source(chosen: Chosen, setting: Setting, epochs: int) -> list[Trained]:
    """The row's network trained on the data that masks are made from, from the first tuning seed."""
    return train_all(chosen.jobs(epochs, TUNING_SEEDS[:1]), setting.source, keep=True)


def write(name: str, lines: Sequence[Line], setting: Setting, out: Path, against: Sequence[str] = AGAINST) -> None:
    """The table as ``name.csv`` and ``name.json``, and every answer as ``name.npz``; the best row first.

    All rows are compared with those that are named in ``against``, as far as they are there.
    """
    records = sorted(_records(lines, setting.data.data.outputs, against), key=lambda one: float(one["test_error"]))
    about = {
        "table": name,
        "widths": setting.widths,
        "budgets": setting.budgets,
        "data": setting.data.data.fingerprint,
        "examples": {"train": len(setting.data.data.train), "test": len(setting.data.data.test)},
        "seeds": TEST_SEEDS,
    }
    (out / f"{name}.json").write_text(json.dumps({**about, "rows": records}, indent=1), encoding="utf-8")
    with (out / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    answers = {line.chosen.row.name: np.packbits(line.wrong, axis=1) for line in lines}
    np.savez_compressed(out / f"{name}.npz", **answers)  # type: ignore[arg-type]


def _records(lines: Sequence[Line], outputs: int, against: Sequence[str]) -> list[dict[str, Any]]:
    records = [_record(line, outputs) for line in lines]
    by_name = {line.chosen.row.name: line.wrong for line in lines}
    for other in against:
        if other not in by_name:
            continue
        apart = [estimate(line.wrong.astype(float) - by_name[other]) for line in lines]
        mine = [number for number, line in enumerate(lines) if line.chosen.row.name != other]
        adjusted = dict(zip(mine, holm([apart[number].p for number in mine]), strict=True))
        for number, (record, one) in enumerate(zip(records, apart, strict=True)):
            record.update(_interval(f"minus {other}", one))
            record[f"p against {other} (Holm)"] = f"{adjusted.get(number, 1.0):.3g}"
    return records


def _record(line: Line, outputs: int) -> dict[str, Any]:
    chosen = line.chosen
    places = chosen.row.forms[chosen.form]
    return {
        "row": chosen.row.name,
        "form": chosen.form,
        "trainable_edges": sum(one.n_trainable for one in places),
        "constant_edges": sum(one.n_constant for one in places),
        "widths": " | ".join("-".join(map(str, dict.fromkeys(one.widths))) for one in places),
        "biases_and_head": sum(one.n_out for one in places) + (places[-1].n_out + 1) * outputs,
        "rate": chosen.rate,
        "weight_decay": chosen.weight_decay,
        "no_end_won": chosen.inside,
        "trainings_to_choose": chosen.trainings,
        "validation_error": round(chosen.validation_error, 5),
        **_interval("test_error", estimate(line.wrong.astype(float))),
        "seeds_deviation": round(float(line.wrong.mean(axis=1).std(ddof=1)), 5),
        "note": chosen.row.note,
    }


def _interval(name: str, found: Estimate) -> dict[str, float]:
    return {name: round(found.mean, 5), f"{name} low": round(found.low, 5), f"{name} high": round(found.high, 5)}


def clock(name: str) -> Told:
    """Tells lines with the seconds since now."""
    start = time.perf_counter()
    return lambda line: print(f"{name} {time.perf_counter() - start:7.1f} s  {line}", flush=True)
