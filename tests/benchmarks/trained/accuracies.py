"""How well each of many topologies learns, and how well it would have looked after less training.

They are written as a small tabular benchmark: ``NAME.csv`` with a line a topology, ``NAME.npz`` with the packed
topologies (:func:`topologies.packing.unpack` reads one) and the first weights of a trained dense network.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from tests.benchmarks.trained.jobs import Job
from tests.benchmarks.trained.rows import Row, Setting, dense_rows
from tests.benchmarks.trained.specimens import specimens
from tests.benchmarks.trained.tables import clock
from tests.benchmarks.trained.together import train_all
from tests.benchmarks.trained.tuning import TEST_SEEDS, Log, tuned
from topologies.packing import pack

RATES, DECAY = (0.005, 0.01, 0.02), 0.1
"""Learning rates of which each topology gets its best, and the weight decay of all."""
SHORT = (1, 2, 4, 8)
"""Epochs of the short trainings, each from one seed at the middle rate."""
DENSE_RATE, DENSE_DECAY = 0.0025, 0.3
"""How the dense network is trained whose weights are kept as targets."""


def accuracies(name: str, setting: Setting, fan: int, epochs: int, out: Path) -> None:
    """Train all topologies of :mod:`.specimens`, each in every place, and write what came of it."""
    drawn = specimens(setting.near, fan)
    count, log = len(setting.budgets), Log(out / "trainings.csv", name, clock(name))
    rows = [Row(one, {"": (topology,) * count}) for one, topology in drawn.items()]
    lines: dict[str, dict[str, object]] = {
        one: {
            "topology": one,
            "depth": topology.depth,
            "trainable_edges": topology.n_trainable,
            "edges": topology.n_edges,
        }
        for one, topology in drawn.items()
    }
    chosen = tuned(rows, setting, epochs, log, RATES, (DECAY,), rounds=1)
    jobs = [job for one in chosen for job in one.jobs(epochs, TEST_SEEDS)]
    trained = train_all(jobs, setting.data, test=True, tell=log.tell)
    errors = np.array([one.test_error for one in trained]).reshape(len(rows), -1)
    for one, own in zip(chosen, errors, strict=True):
        lines[one.row.name].update(
            rate=one.rate,
            validation_error=f"{one.validation_error:.5f}",
            test_error=f"{own.mean():.5f}",
            test_error_deviation=f"{own.std(ddof=1):.5f}",
        )
    (network,) = train_all(
        [Job(dense_rows(setting)[0].forms[""], DENSE_RATE, DENSE_DECAY, 0, epochs)], setting.data, keep=True
    )
    n = setting.widths[0]
    packed = {one: np.frombuffer(pack(topology), np.uint8) for one, topology in drawn.items()}
    weights = [one.reshape(n, n).T for one in network.weights]
    np.savez_compressed(out / f"{name}.npz", **{"dense weights": np.array(weights)}, **packed)  # type: ignore[arg-type]
    _write(out / f"{name}.csv", lines)
    for short in SHORT:
        brief = [Job(row.forms[""], RATES[1], DECAY, 0, short) for row in rows]
        for row, one in zip(rows, train_all(brief, setting.data, tell=log.tell), strict=True):
            lines[row.name][f"validation error after {short} epochs"] = f"{one.validation_error:.5f}"
        _write(out / f"{name}.csv", lines)


def _write(path: Path, lines: dict[str, dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(next(iter(lines.values()))))
        writer.writeheader()
        writer.writerows(lines.values())
