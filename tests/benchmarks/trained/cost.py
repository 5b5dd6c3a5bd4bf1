"""`python -m tests.benchmarks.trained.cost RUN --data grey.npz`: core-seconds of a search beside those of a training.

A training's are those of 16 epochs, from the fastest of three epochs, each row's in turn, on one core that has nothing
else to do. RigL is trained by the program that made the tables of rivals, and dense layers by that one, too: it keeps
dense gradients, and scores the validation part after each epoch. What the search took is read
from its journal: the seconds of all that its workers evaluated, those of the other rows of its table among them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from evaluators.rng import generator
from evaluators.training.data import Data
from evaluators.training.models import Perceptron, layers_of
from evaluators.training.training import alone, batch_size, train
from evo.storage.history import History
from evo.storage.records import ScoreRecord
from tests.benchmarks.trained.experiments import FAN_IN, read
from tests.benchmarks.trained.jobs import Job, OnDevice
from tests.benchmarks.trained.rows import Setting, dense_rows, patch_rows, rigl_row, structured
from tests.benchmarks.trained.together import train_all
from topologies import load
from topologies.stack import Stack

EPOCHS, ROUNDS = 16, 3


def epoch(places: Stack, data: Data) -> None:
    """Train a network with these masks for one epoch."""
    with alone(0):
        model = Perceptron(layers_of(places, len(places.places)), data.outputs)
        train(model, data.train, 1, 0.01, 0.1, batch_size(len(data.train)), generator(0, "cost"))


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.trained.cost", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    history = History.of(given.run)
    spent = sum(one.seconds for one in history.records if isinstance(one, ScoreRecord))
    data = read(given.data)
    setting = Setting(OnDevice(data, "cpu"), (data.inputs,) * 3, (data.inputs * FAN_IN,) * 2)
    rows = {row.name: row for row in (*dense_rows(setting), *patch_rows(setting), *structured(setting))}
    wanted = ("dense", "parallel butterfly", "correlation patches", "correlation patches, free widths")
    masks = {name: Stack(next(iter(rows[name].forms.values()))) for name in wanted}
    champion = load(history.champion_file)
    assert isinstance(champion, Stack)
    masks["evolved champion"] = champion
    epochs: dict[str, Callable[[], object]] = {name: partial(epoch, places, data) for name, places in masks.items()}
    for name, row in (("dense, by the rivals' program", rows["dense"]), ("RigL, by the same", rigl_row(setting))):
        job = Job(row.forms[""], 0.01, 0.1, 0, 1, row.regrown)
        epochs[name] = partial(train_all, [job], setting.data)
    least = dict.fromkeys(epochs, float("inf"))
    for _ in range(ROUNDS):
        for name, once in epochs.items():
            start = time.perf_counter()
            once()
            least[name] = min(least[name], time.perf_counter() - start)
    dense = EPOCHS * least["dense"]
    print(f"the whole search: {spent:.0f} core-seconds, {spent / dense:.0f} trainings of dense layers")
    for name, seconds in least.items():
        print(f"{name}: {EPOCHS * seconds:.0f} s for {EPOCHS} epochs, {EPOCHS * seconds / dense:.2f} of dense layers'")


if __name__ == "__main__":
    main()
