"""What a lifted topology is worth in a trained model: grey images of 16 x 16 pixels, two 256 -> 256 cascades with ReLU.

Run with `python -m tests.benchmarks.lifted_training CHAMPION mnist.npz`, the first a topology file or a run's folder
whose topology lifts to 256 x 256, the second with x_train, y_train, x_test and y_test, grey or in colour; takes a few
minutes.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import sys
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from tests.benchmarks.lifted import rivals
from tests.benchmarks.problems import table
from topologies import SparseCascade, Topology, resize
from topologies.names import resolve

SIDE, EPOCHS, BATCH, SEEDS = 16, 4, 256, 3
SPARSE_RATES, DENSE_RATES = (3e-3, 1e-2, 3e-2), (1e-3, 3e-3, 1e-2)
VALIDATION = 5000  # digits of the training set on which the rate is chosen

Digits = tuple[Tensor, Tensor]


def digits(path: Path) -> tuple[Digits, Digits, Digits]:
    """Training, validation and test digits, of 256 pixels each, standardised."""
    data = np.load(path)

    def pixels(name: str) -> Tensor:
        images = data[name] if data[name].ndim == 3 else data[name].mean(axis=3)  # colours become grey
        grey = torch.from_numpy(images).float()[:, None] / 255
        return functional.interpolate(grey, size=(SIDE, SIDE), mode="bilinear", antialias=True).flatten(1)

    x, x_test = pixels("x_train"), pixels("x_test")
    mean, deviation = x.mean(), x.std()
    x, x_test = (x - mean) / deviation, (x_test - mean) / deviation
    y, y_test = (torch.from_numpy(data[name]).long() for name in ("y_train", "y_test"))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return (x[VALIDATION:], y[VALIDATION:]), (x[:VALIDATION], y[:VALIDATION]), (x_test, y_test)


def network(topology: Topology | None) -> nn.Module:
    """Two hidden layers, by a topology or dense."""
    size = SIDE * SIDE
    hidden = [nn.Linear(size, size) if topology is None else SparseCascade(topology, way="fused") for _ in range(2)]
    return nn.Sequential(hidden[0], nn.ReLU(), hidden[1], nn.ReLU(), nn.Linear(size, 10))


def trained(topology: Topology | None, rate: float, seed: int, training: Digits) -> nn.Module:
    """A network after Adam's one cycle over the digits."""
    torch.manual_seed(seed)
    model, (x, y) = network(topology), training
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    steps = len(x) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=EPOCHS * steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x))[: steps * BATCH].split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
            schedule.step()
    return model


@torch.no_grad()
def accuracy(model: nn.Module, of: Digits) -> float:
    """Share of digits that are told right, in percent."""
    return 100 * float((model(of[0]).argmax(1) == of[1]).float().mean())


def trained_table(champion: Topology, path: Path) -> None:
    """Test accuracy at the rate that is best on validation digits, mean of a few seeds."""
    training, validation, test = digits(path)
    lifted = resize(champion, SIDE * SIDE, SIDE * SIDE)
    rows: dict[str, Topology | None] = {"champion, lifted": lifted, **rivals(lifted), "dense": None}
    title = f"{path.stem}, {SIDE} x {SIDE}, {EPOCHS} epochs, {SEEDS} seeds"
    result = table(title, "layers", "trainable", "test %", "rate")
    for name, topology in rows.items():
        rates = DENSE_RATES if topology is None else SPARSE_RATES
        first = [trained(topology, rate, 0, training) for rate in rates]
        best = max(range(len(rates)), key=lambda place: accuracy(first[place], validation))
        models = [first[best], *(trained(topology, rates[best], seed, training) for seed in range(1, SEEDS))]
        found = [accuracy(model, test) for model in models]
        count = SIDE**4 if topology is None else topology.n_trainable
        result.add_row(name, str(count), f"{np.mean(found):.2f} ± {np.std(found, ddof=1):.2f}", str(rates[best]))
    Console(width=120).print(result)


if __name__ == "__main__":
    torch.set_num_threads(1)
    trained_table(resolve(sys.argv[1]), Path(sys.argv[2]))
