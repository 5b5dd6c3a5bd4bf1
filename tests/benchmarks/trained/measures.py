"""What can be said of topologies without training on the data, for the tabular benchmark of :mod:`.accuracies`.

    python -m tests.benchmarks.trained.measures topologies-NAME.npz --out FOLDER

Reads the packed topologies and writes ``measures-NAME.csv``, a column after the other, so that what is there can be
used while the dear ones go on. All are small for what they hold to be a good topology.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluators import Controllability, Fidelity, MatrixReconstruction, OwnTargets, Split, TangentRank
from evaluators.proxies.capacity import predict
from topologies.packing import unpack
from topologies.reach import from_inputs
from topologies.topology import Topology

BRIEF = Fidelity(4, 300, (1.0,))
"""Targets, steps and the rate of both reconstructions."""

Measure = Callable[[Topology], dict[str, float]]


def bandwidth(topology: Topology) -> dict[str, float]:
    """How far from the diagonal the pairs are that a path joins: the mean of ``|i / n_in - j / n_out|``."""
    reach = from_inputs(topology)[-1]
    rows, columns = np.arange(topology.n_in) / topology.n_in, np.arange(topology.n_out) / topology.n_out
    apart = np.abs(rows[:, None] - columns)
    return {"bandwidth": float(apart[reach].mean()), "unconnected": float(1 - reach.mean())}


def controllability(topology: Topology) -> dict[str, float]:
    """Minus the total of uniform K, and its unfairness."""
    control = Controllability("uniform").analyse(topology)
    return {"controllability, total": -float(control.total), "controllability, unfairness": float(control.unfairness)}


def gaussian(topology: Topology) -> dict[str, float]:
    """Error of a brief reconstruction of random matrices."""
    score = MatrixReconstruction().evaluate(topology, BRIEF, Split.SEARCH, 0)
    return {"reconstruction, Gaussian": float(score.error)}


def trained_weights(weights: NDArray[np.float32]) -> Measure:
    """Error of a brief reconstruction of a trained dense network's first weights, ``(n_in, n_out)``."""
    task = MatrixReconstruction(OwnTargets.of({"weights": weights}))
    few = Fidelity(1, BRIEF.steps, BRIEF.rates)

    def measure(topology: Topology) -> dict[str, float]:
        return {"reconstruction, trained weights": float(task.evaluate(topology, few, Split.SEARCH, 0).error)}

    return measure


def capacity(topology: Topology) -> dict[str, float]:
    """The error that capacity lets expect, up to a monotone function."""
    return {"capacity": float(predict(topology))}


def tangent_rank(topology: Topology) -> dict[str, float]:
    """Minus the generic rank."""
    return {"tangent rank": -float(TangentRank().analyse(topology))}


def main() -> None:
    """Compute the measures, the cheap ones first."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.trained.measures", description=__doc__)
    parser.add_argument("topologies", type=Path, help="topologies-NAME.npz of `predict`")
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with np.load(given.topologies, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    weights = arrays.pop("dense weights")
    topologies = {name: unpack(packed.tobytes()) for name, packed in arrays.items()}
    path = given.out / f"measures-{given.topologies.stem.removeprefix('topologies-')}.csv"
    lines: dict[str, dict[str, object]] = {name: {"topology": name} for name in topologies}
    measures = (bandwidth, controllability, gaussian, trained_weights(weights[0]), capacity, tangent_rank)
    for measure in measures:
        start = time.perf_counter()
        for name, topology in topologies.items():
            lines[name].update({key: f"{value:.10g}" for key, value in measure(topology).items()})
        keys = list(next(iter(lines.values())))
        with path.open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, keys)
            writer.writeheader()
            writer.writerows(lines.values())
        print(f"{keys[-1]}: {(time.perf_counter() - start) / len(topologies):.2f} s each", flush=True)


if __name__ == "__main__":
    main()
