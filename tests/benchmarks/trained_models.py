"""A small ResNet and a character language model trained dense and sparse, from scratch, with the controls.

Run with `python -m tests.benchmarks.trained_models [--data cifar10.npz] [--steps 300] [--seeds 3]`; the first part
needs a file with x_train, y_train, x_test and y_test, images in colour; both take about half an hour on one core. The
text is the source of Python's standard library. Arms: dense; the Clos topologies that `Family.fit` gives at two
densities; these with their edges shuffled within every layer; random regular. The learning rate is the best of two on
validation data for the first seed.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import argparse
import json
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
from evo.studies.proxies.null_model import shuffled
from tests.benchmarks.problems import table

DENSITIES = (0.1, 0.25)
RATES = (1e-3, 3e-3)
MODULES = ("argparse", "ast", "datetime", "decimal", "doctest", "inspect", "pydoc", "tarfile", "typing", "zipfile")
"""Modules of the standard library whose source is the text; the last is for validation and test."""

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Problem:
    """A model, batches to train it on by step and seed, and its score on data for validation or test."""

    title: str
    unit: str
    build: Callable[[], nn.Module]
    dense_parts: list[str]
    batch: Callable[[int, int], Batch]
    score: Callable[[nn.Module, str], float]
    sign: int  # 1 where more is better


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
    """Images of 16 x 16 pixels in colour, the mean of four each."""
    data = np.load(path)

    def pixels(name: str) -> Tensor:
        x = torch.from_numpy(data[name]).permute(0, 3, 1, 2).float() / 127.5 - 1
        return functional.avg_pool2d(x, 2)

    x, x_test = pixels("x_train"), pixels("x_test")
    y, y_test = (torch.from_numpy(data[name]).long().flatten() for name in ("y_train", "y_test"))
    parts = {"validation": (x[-5000:], y[-5000:]), "test": (x_test, y_test)}

    def drawn(step: int, seed: int) -> Batch:
        chosen = np.random.default_rng([seed, step]).integers(0, len(x) - 5000, batch)
        flipped = x[chosen].flip(3) if step % 2 else x[chosen]
        return flipped, y[chosen]

    @torch.no_grad()
    def score(model: nn.Module, part: str) -> float:
        rows, labels = parts[part]
        found = torch.cat([model(some).argmax(1) for some in rows.split(500)])
        return 100 * float((found == labels).float().mean())

    return Problem("ResNet-8, CIFAR-10 at 16 x 16", "test %", resnet, ["stem", "head"], drawn, score, 1)


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
    def score(model: nn.Module, part: str) -> float:
        count = (len(parts[part]) - 1) // 256
        some = parts[part][: count * 256 + 1]
        logits = model(some[:-1].view(count, 256))
        return float(functional.cross_entropy(logits.flatten(0, 1), some[1:])) / math.log(2)

    title = f"two-layer LSTM, {len(tokens) / 1e6:.1f} M characters of Python"
    return Problem(title, "bits a character", lambda: Characters(len(codes) + 1), ["head"], drawn, score, -1)


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


def trained_table(problem: Problem, steps: int, seeds: int) -> None:
    """A row for each arm: mean and half the 95 % interval over seeds (Student's t), parameters, seconds of a step."""
    quantile = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}[seeds]
    headings = ("parameters", problem.unit, "ms a step", "rate")
    result = table(f"{problem.title}, {steps} steps, {seeds} seeds", "layers", *headings)
    for name, build in arms(problem):
        runs: dict[float, tuple[float, float, nn.Module]] = {}
        for rate in RATES:
            model = build(0)
            seconds = trained(problem, model, rate, steps, 0)
            runs[rate] = (problem.sign * problem.score(model, "validation"), seconds, model)
        rate = max(runs, key=lambda one: runs[one][0])
        scores, times = [problem.score(runs[rate][2], "test")], [runs[rate][1]]
        for seed in range(1, seeds):
            model = build(seed)
            times.append(trained(problem, model, rate, steps, seed))
            scores.append(problem.score(model, "test"))
        half = quantile * np.std(scores, ddof=1) / math.sqrt(seeds)
        count = sum(one.numel() for one in model.parameters())
        row = (f"{count:,}", f"{np.mean(scores):.3f} ± {half:.3f}", f"{1e3 * min(times):.0f}", f"{rate:g}")
        print(json.dumps({"arm": name, "scores": scores, "row": row}), flush=True)
        result.add_row(name, *row)
    Console(width=120).print(result)


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    trained_table(text(), given.steps, given.seeds)
    if given.data is not None:
        trained_table(images(given.data), given.steps, given.seeds)
