"""What a mask is worth under conditions it was not searched under: `python -m tests.benchmarks.transfer --data ...`.

A champion of `evofabric search runs/images.toml` on grey 16 x 16 images in order (`tests.benchmarks.images`) was
searched with AdamW at 4 epochs and chosen at 16. Here it is trained for fewer and for more epochs, by stochastic
gradients with momentum, and, lifted fourfold, on the same images at 32 x 32 (``--large``), beside patches, the parallel
butterfly and dense layers. Each row's learning rate is chosen anew under each condition, on the validation part from
one seed, with more rates where an end of the grid wins. The decoupled weight decay is 0.1, for dense layers 0.3: what
the main table chose for the rivals, and what the champion was searched with. Three other seeds are tested. A line of
CSV is printed as soon as it is there.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from evaluators.rng import generator
from evaluators.training.data import Data, Part
from evaluators.training.models import Perceptron, layers_of
from evaluators.training.training import alone, batch_size, error_and_errors, one_cycle, train
from tests.benchmarks.trained.experiments import read
from tests.benchmarks.trained.statistics import estimate
from tests.benchmarks.trained.wiring import patches, reordered, similarity
from topologies import dense, lift, load, parallel_butterfly
from topologies.stack import Stack

RATES = {"AdamW": (0.005, 0.01, 0.02), "SGD": (0.05, 0.1, 0.2)}
"""Peak learning rates that every row is tried with first."""
MOMENTUM, L2 = 0.9, 5e-4
"""Of stochastic gradients, with Nesterov's step; the L2 penalty takes the place of decoupled weight decay."""
TUNING_SEED, TEST_SEEDS = 0, (10, 11, 12)
AGAINST = "parallel butterfly"


@dataclass(frozen=True)
class Condition:
    """How masks are trained: for how many epochs, by which optimiser, and how many times as many pixels a side has."""

    epochs: int
    optimiser: str = "AdamW"
    scale: int = 1


CONDITIONS = {
    "4 epochs": Condition(4),
    "16 epochs": Condition(16),
    "SGD, 16 epochs": Condition(16, "SGD"),
    "32 x 32 pixels, 8 epochs": Condition(8, scale=2),
    "32 epochs": Condition(32),
}


@dataclass(frozen=True)
class Row:
    """Masks, and the decoupled weight decay that they are trained with."""

    places: Stack
    weight_decay: float = 0.1


def rows_of(champion: Stack, data: Data, scale: int) -> dict[str, Row]:
    """The masks that are compared, within one budget but for the dense layers."""
    n, near = data.inputs, similarity(data.train.x)
    places = champion.places if scale == 1 else lifted(champion, scale).places
    wide = (patches(near, 10, 1, 2), patches(near, 5, 2, 2))
    return {
        AGAINST: Row(Stack((parallel_butterfly(n, 2, 10),) * 2)),
        "evolved": Row(Stack(places)),
        "patches": Row(Stack(wide)),
        "dense": Row(Stack((dense(n, n, skip=False),) * 2), 0.3),
    }


def lifted(champion: Stack, scale: int) -> Stack:
    """The champion for images with ``scale`` times as many pixels a side: each pixel's copies are those within it."""
    k = scale**2
    first, *rest = (lift(place, k) for place in champion.places)
    side = int(np.sqrt(champion.n_in))
    within = np.arange((side * scale) ** 2).reshape(side, scale, side, scale).transpose(0, 2, 1, 3)
    return Stack((reordered(first, within.reshape(-1)), *rest))


def trained(row: Row, condition: Condition, rate: float, seed: int, data: Data) -> nn.Module:
    """A network with the row's masks, after training."""
    draws, batch = generator(seed, "transfer"), batch_size(len(data.train))
    with alone(int(draws.integers(2**63 - 1))):
        model = Perceptron(layers_of(row.places, len(row.places.places)), data.outputs)
        if condition.optimiser == "AdamW":
            train(model, data.train, condition.epochs, rate, row.weight_decay, batch, draws)
        else:
            _by_momentum(model, data.train, condition.epochs, rate, batch, draws)
    return model


def _by_momentum(
    model: nn.Module, part: Part, epochs: int, rate: float, batch: int, draws: np.random.Generator
) -> None:
    steps = len(part) // batch
    descent = torch.optim.SGD(model.parameters(), rate, momentum=MOMENTUM, nesterov=True, weight_decay=L2)
    schedule = iter(one_cycle(epochs * steps))
    for _ in range(epochs):
        for rows in draws.permutation(len(part))[: steps * batch].reshape(steps, batch):
            descent.param_groups[0]["lr"] = rate * next(schedule)[0]
            descent.zero_grad()
            loss = functional.cross_entropy(model(torch.from_numpy(part.x[rows])), torch.from_numpy(part.y[rows]))
            loss.backward()  # type: ignore[no-untyped-call]
            descent.step()


def best_rate(row: Row, condition: Condition, data: Data) -> float:
    """The rate of the least error on the validation part; the grid is continued while an end of it wins."""
    found: dict[float, float] = {}
    wanted = list(RATES[condition.optimiser])
    while wanted:
        for rate in wanted:
            model = trained(row, condition, rate, TUNING_SEED, data)
            found[rate] = error_and_errors(model, data.validation)[0]
        best = min(found, key=lambda rate: found[rate])
        wanted = [beside for beside in (best / 2, best * 2) if not min(found) <= beside <= max(found)]
    return best


def wrong(row: Row, condition: Condition, rate: float, data: Data) -> NDArray[np.float64]:
    """Which test examples the row's networks get wrong, ``(seeds, examples)``."""
    models = (trained(row, condition, rate, seed, data) for seed in TEST_SEEDS)
    return np.array([error_and_errors(model, data.test)[1] for model in models])


def compared(name: str, champion: Stack, data: Data) -> None:
    """Print the lines of a condition."""
    condition = CONDITIONS[name]
    other: NDArray[np.float64] | None = None
    for label, row in rows_of(champion, data, condition.scale).items():
        rate = best_rate(row, condition, data)
        missed = wrong(row, condition, rate, data)
        other = missed if other is None else other
        own, apart = estimate(missed), estimate(missed - other)
        ends = [f"{100 * value:.2f}" for value in (apart.mean, apart.low, apart.high)]
        accuracy, half = 100 * (1 - own.mean), 50 * (own.high - own.low)
        edges = row.places.n_trainable
        print(f'"{name}",{label},{edges},{rate:g},{accuracy:.2f},{half:.2f},{",".join(ends)}', flush=True)


def main() -> None:
    """Read the data and the champion, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.transfer", description=__doc__)
    parser.add_argument("--data", required=True, help="grey images of 16 x 16 pixels, as the champion was searched on")
    parser.add_argument("--large", help="the same images at 32 x 32; without, that condition is left out")
    parser.add_argument("--champion", required=True, type=Path)
    parser.add_argument("--only", nargs="+", default=list(CONDITIONS), choices=CONDITIONS)
    given = parser.parse_args()
    champion = load(given.champion)
    if not isinstance(champion, Stack):
        parser.error(f"{given.champion} has a single topology, where one for each of two places is wanted")
    files: Mapping[int, str | None] = {1: given.data, 2: given.large}
    print(f"condition,row,trainable edges,rate,test %,±,error minus {AGAINST},low,high", flush=True)
    for name in given.only:
        if path := files[CONDITIONS[name].scale]:
            compared(name, champion, read(path))


if __name__ == "__main__":
    main()
