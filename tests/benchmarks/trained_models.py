"""A small ResNet and a character language model trained dense and sparse, from scratch, with the controls.

Run with `python -m tests.benchmarks.trained_models RUNS [--data cifar10.npz] [--steps 300] [--seeds 3]`. With a file
that has x_train, y_train, x_test and y_test, images in colour, it is the ResNet, else the language model, whose text
is the source of Python's standard library; 300 steps of either take about ten minutes on one core. Arms: dense; the
Clos topologies that `Family.fit` gives at two densities; these with their edges shuffled within every layer; random
regular. The learning rate of the language model is the best of two on validation data for the first seed. Every
training is added to the file RUNS as it ends and is not done again.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import argparse
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

import topologies.models as tm
from evaluators.rng import generator
from tests.benchmarks.trained_runs import Run, append, read, runs_table
from topologies.shuffle import shuffled

DENSITIES = (0.1, 0.25)
MODULES = ("argparse", "ast", "datetime", "decimal", "doctest", "inspect", "pydoc", "tarfile", "typing", "zipfile")
"""Modules of the standard library whose source is the text; the last is for validation and test."""
HELD_BACK = 2000
"""Images for validation."""

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Problem:
    """A model, batches to train it on by step and seed, and the scores of examples for validation or test."""

    title: str
    unit: str
    build: Callable[[], nn.Module]
    dense_parts: list[str]
    batch: Callable[[int, int], Batch]
    score: Callable[[nn.Module, str], Tensor]
    sign: int  # 1 where more is better
    rates: tuple[float, ...]
    digits: int  # that the table shows


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out))
        self.shortcut = nn.Conv2d(n_in, n_out, 1, stride, bias=False) if (n_in, stride) != (n_out, 1) else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


def resnet() -> nn.Module:
    """ResNet-8 of 32, 64 and 128 channels; stem and head stay dense."""
    stem = nn.Sequential(nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
    blocks = nn.Sequential(Block(32, 32, 1), Block(32, 64, 2), Block(64, 128, 2))
    return nn.Sequential(OrderedDict(stem=stem, blocks=blocks, head=head))


class Characters(nn.Module):
    """Two layers of LSTM over characters."""

    def __init__(self, characters: int, width: int = 128) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, width)
        self.rnn = nn.LSTM(width, width, num_layers=2, batch_first=True)
        self.head = nn.Linear(width, characters)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.rnn(self.embedding(tokens))[0])  # type: ignore[no-any-return]


def images(path: Path, batch: int = 64) -> Problem:
    """Images of 16 x 16 pixels in colour, the mean of four each; tested on every other test image.

    One rate: 3e-3 gave what 1e-2 gave or more to the dense network and to Clos at 10 %, after 300 steps.
    """
    data = np.load(path)

    def pixels(name: str) -> Tensor:
        x = torch.from_numpy(data[name]).permute(0, 3, 1, 2).float() / 127.5 - 1
        return functional.avg_pool2d(x, 2)

    x, x_test = pixels("x_train"), pixels("x_test")
    y, y_test = (torch.from_numpy(data[name]).long().flatten() for name in ("y_train", "y_test"))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))  # files come sorted by class
    x, y = x[order], y[order]
    parts = {"validation": (x[-HELD_BACK:], y[-HELD_BACK:]), "test": (x_test[::2], y_test[::2])}

    def drawn(step: int, seed: int) -> Batch:
        chosen = np.random.default_rng([seed, step]).integers(0, len(x) - HELD_BACK, batch)
        flipped = x[chosen].flip(3) if step % 2 else x[chosen]
        return flipped, y[chosen]

    @torch.no_grad()
    def score(model: nn.Module, part: str) -> Tensor:
        rows, labels = parts[part]
        found = torch.cat([model(some).argmax(1) for some in rows.split(500)])
        return 100 * (found == labels).float()

    title = f"ResNet-8, CIFAR-10 at 16 x 16, batches of {batch}"
    return Problem(title, "test %", resnet, ["stem", "head"], drawn, score, 1, (3e-3,), 1)


def text(batch: int = 32, length: int = 64) -> Problem:
    """Characters of the standard library's source; what is rare is one character."""
    home = Path(argparse.__file__).parent
    source = [
        (home / f"{name}.py").read_text(encoding="utf-8") if (home / f"{name}.py").exists() else "" for name in MODULES
    ]
    held_out = source.pop() or source.pop()
    whole = "\n".join(source)
    alphabet = sorted(character for character in set(whole) if whole.count(character) > 50)
    codes = {character: place + 1 for place, character in enumerate(alphabet)}

    def coded(some: str) -> Tensor:
        return torch.tensor([codes.get(character, 0) for character in some])

    tokens, rest = coded(whole), coded(held_out)
    half = len(rest) // 2
    parts = {"validation": rest[:half], "test": rest[half:]}

    def drawn(step: int, seed: int) -> Batch:
        starts = np.random.default_rng([seed, step]).integers(0, len(tokens) - length - 1, batch)
        some = torch.stack([tokens[start : start + length + 1] for start in starts.tolist()])
        return some[:, :-1], some[:, 1:]

    @torch.no_grad()
    def score(model: nn.Module, part: str) -> Tensor:
        count = (len(parts[part]) - 1) // 256
        some = parts[part][: count * 256 + 1]
        logits = model(some[:-1].view(count, 256))
        losses = functional.cross_entropy(logits.flatten(0, 1), some[1:], reduction="none")
        return losses.view(count, 256).mean(1) / math.log(2)

    def build() -> nn.Module:
        return Characters(len(codes) + 1)

    title = f"two-layer LSTM, {len(tokens) / 1e6:.1f} M characters of Python"
    return Problem(title, "bits a character", build, ["head"], drawn, score, -1, (1e-3, 3e-3), 3)


def arms(problem: Problem) -> Iterator[tuple[str, Callable[[int], nn.Module]]]:
    """What is trained, as functions of the seed."""

    def dense(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return problem.build()

    def sparse(family: str, density: float, is_shuffled: bool) -> Callable[[int], nn.Module]:
        def build(seed: int) -> nn.Module:
            model = dense(seed)
            plan = tm.plan(model, family, density=density, exclude=problem.dense_parts)
            if is_shuffled:
                plan = replace(
                    plan,
                    changes=tuple(
                        replace(change, topology=shuffled(change.topology, generator(seed, "shuffle", place)))
                        for place, change in enumerate(plan.changes)
                    ),
                )
            return tm.convert(model, plan)

        return build

    yield "dense", dense
    for density in DENSITIES:
        yield f"Clos, {density:.0%}", sparse("clos", density, False)
        yield f"Clos shuffled, {density:.0%}", sparse("clos", density, True)
        yield f"random regular, {density:.0%}", sparse("random_regular", density, False)


def trained(problem: Problem, model: nn.Module, rate: float, steps: int, seed: int) -> float:
    """Train a model in place; the median seconds of a step."""
    optimizer = torch.optim.AdamW(tm.parameter_groups(model, rate, 0.01))
    top = [group["lr"] for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, top, total_steps=steps)
    taken = []
    for step in range(steps):
        x, y = problem.batch(step, seed)
        start = time.process_time()
        optimizer.zero_grad()
        functional.cross_entropy(model(x).flatten(0, -2), y.flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        taken.append(time.process_time() - start)
        schedule.step()
    model.eval()
    return median(taken)


def runs_of(problem: Problem, steps: int, seeds: int, file: Path) -> list[Run]:
    """Every arm's runs at its rate, seed after seed, so that a stop leaves as many of each."""
    known, title = read(file), f"{problem.title}, {steps} steps"

    def one(arm: str, build: Callable[[int], nn.Module], seed: int, rate: float) -> Run:
        if (title, arm, seed, rate) in known:
            return known[title, arm, seed, rate]
        model = build(seed)
        seconds = trained(problem, model, rate, steps, seed)
        count = sum(part.numel() for part in model.parameters())
        validation = float(problem.score(model, "validation").mean())
        test = [round(score, 4) for score in problem.score(model, "test").tolist()]
        run = Run(title, arm, seed, rate, count, seconds, validation, test)
        known[run.key] = run
        append(file, run)
        print(arm, seed, rate, f"{1e3 * seconds:.0f} ms", f"{validation:.3f}", f"{np.mean(test):.3f}", flush=True)
        return run

    result, rates = [], {}
    for seed in range(seeds):
        for arm, build in arms(problem):
            if not seed:
                tried = [one(arm, build, 0, rate) for rate in problem.rates]
                rates[arm] = max(tried, key=lambda run: problem.sign * run.validation).rate
            result.append(one(arm, build, seed, rates[arm]))
    return result


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    chosen = text() if given.data is None else images(given.data)
    runs = runs_of(chosen, given.steps, given.seeds, given.runs)
    title = f"{chosen.title}, {given.steps} steps"
    Console(width=140).print(runs_table(title, chosen.unit, runs, chosen.digits))
