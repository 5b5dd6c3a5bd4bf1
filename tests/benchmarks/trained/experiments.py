"""The tables that can be made: which data, which network, which rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from evaluators.rng import generator
from evaluators.training.data import Data, Part
from evaluators.training.files import arrays_of
from tests.benchmarks.trained.accuracies import accuracies
from tests.benchmarks.trained.jobs import OnDevice
from tests.benchmarks.trained.rows import (
    Row,
    Setting,
    all_rows,
    dense_rows,
    patch_rows,
    random_rows,
    rigl_row,
    structured,
)
from tests.benchmarks.trained.shapes import multiplications
from tests.benchmarks.trained.tables import table

DENSITIES = (0.02, 0.05, 0.08, 0.16)
"""Trainable edges over dense ones, along the curve."""
FAN_IN = 20
"""Trainable edges for every neuron of a place in the main tables."""
MOST_WORK = 1_500_000_000
"""Multiply-accumulates of a batch, forward, above which a row is left out."""


@dataclass(frozen=True)
class Job:
    """What an experiment is given."""

    data: Data
    device: str
    epochs: int
    out: Path
    stem: str = ""
    champions: tuple[Row, ...] = ()

    def on(self, data: Data) -> OnDevice:
        """Data on the device."""
        return OnDevice(data, self.device)


def in_order(job: Job) -> None:
    """Two square places, all rows, the inputs as they are."""
    _main_table("in-order", job, job.data)


def shuffled_inputs(job: Job) -> None:
    """The same with the inputs in another order, one for all examples, which nobody is told."""
    _main_table("shuffled", job, with_inputs(job.data, generator(0, "pixels").permutation(job.data.inputs)))


def _main_table(name: str, job: Job, data: Data) -> None:
    n = data.inputs
    setting = Setting(job.on(data), (n, n, n), (n * FAN_IN,) * 2)
    table(name, feasible(all_rows(setting, job.champions), setting), setting, job.epochs, job.out)


def curve(job: Job) -> None:
    """Some rows at several densities, the inputs shuffled."""
    n = job.data.inputs
    on = job.on(with_inputs(job.data, generator(0, "pixels").permutation(n)))
    for density in DENSITIES:
        setting = Setting(on, (n, n, n), (n * max(2, round(density * n)),) * 2)
        wanted = ("parallel butterfly", "parallel butterfly, re-ordered", "random regular", "butterfly, re-ordered")
        rows = [*patch_rows(setting), *structured(setting), *random_rows(setting)]
        rows = [row for row in rows if row.name in wanted or "patches" in row.name]
        if density == DENSITIES[-1]:
            rows.append(dense_rows(setting)[0])
        table(f"density-{density:.0%}".replace("%", "-percent"), rows, setting, job.epochs, job.out, follow=False)


def transfer(job: Job) -> None:
    """Masks that were made from one half of the classes, in networks that learn the other half."""
    n, classes = job.data.inputs, len(job.data.classes)
    halves = [of_classes(job.data, range(classes // 2)), of_classes(job.data, range(classes // 2, classes))]
    setting = Setting(job.on(halves[1]), (n, n, n), (n * FAN_IN,) * 2, masks_from=job.on(halves[0]))
    rows = [*job.champions, *patch_rows(setting), *structured(setting), *random_rows(setting)]
    rows += [rigl_row(setting), dense_rows(setting)[0]]
    table("transfer", feasible(rows, setting), setting, job.epochs, job.out)


def rectangular(job: Job) -> None:
    """Two places of 256 neurons on more inputs than that, such as 784, at 1 % and 5 % of the dense edges."""
    for density in (0.01, 0.05):
        widths = (job.data.inputs, 256, 256)
        _at_density(f"{widths[0]}-inputs-{density:.0%}".replace("%", "-percent"), job, widths, density)


def colour(job: Job) -> None:
    """Two places of 512 neurons at 5 % of the dense edges, meant for colour images of 32 x 32."""
    _at_density(f"{job.data.inputs}-inputs-512", job, (job.data.inputs, 512, 512), 0.05)


def _at_density(name: str, job: Job, widths: tuple[int, ...], density: float) -> None:
    budgets = tuple(round(density * n_in * n_out) for n_in, n_out in pairwise(widths))
    setting = Setting(job.on(job.data), widths, budgets)
    table(name, feasible(all_rows(setting, job.champions), setting), setting, job.epochs, job.out)


def predict(job: Job) -> None:
    """Accuracies of many kinds of topologies, in order, and what short trainings say of them."""
    n = job.data.inputs
    fan = FAN_IN if n >= 256 else FAN_IN // 2
    accuracies(f"topologies-{job.stem}", Setting(job.on(job.data), (n, n, n), (n * fan,) * 2), fan, job.epochs, job.out)


EXPERIMENTS: dict[str, Callable[[Job], None]] = {
    "shuffled": shuffled_inputs,
    "order": in_order,
    "curve": curve,
    "predict": predict,
    "transfer": transfer,
    "rectangular": rectangular,
    "colour": colour,
}
"""Experiments by name, the most telling first."""


def feasible(rows: Sequence[Row], setting: Setting) -> list[Row]:
    """The rows without those that would take too long, which are told."""
    found = []
    for row in rows:
        forms = {
            name: one
            for name, one in row.forms.items()
            if multiplications(one, setting.data.batch) <= MOST_WORK or row.name == "dense" or row.regrown
        }
        if len(forms) < len(row.forms):
            print(f"left out, for the time it takes: {row.name} {sorted(row.forms.keys() - forms.keys())}", flush=True)
        if forms:
            found.append(replace(row, forms=forms))
    return found


def with_inputs(data: Data, order: NDArray[np.int64]) -> Data:
    """Data whose inputs stand in another order."""

    def moved(part: Part) -> Part:
        return Part(np.ascontiguousarray(part.x[:, order]), part.y)

    parts = {name: moved(getattr(data, name)) for name in ("train", "search", "validation", "test")}
    return replace(data, **parts)


def of_classes(data: Data, classes: Sequence[int]) -> Data:
    """The examples of some classes, which are numbered anew; the parts stay apart."""
    number = np.full(len(data.classes), -1)
    number[list(classes)] = np.arange(len(classes))

    def some(part: Part) -> Part:
        there = number[part.y] >= 0
        return Part(part.x[there], number[part.y[there]])

    parts = {name: some(getattr(data, name)) for name in ("train", "search", "validation", "test")}
    return replace(data, classes=tuple(data.classes[one] for one in classes), **parts)


def read(name: str) -> Data:
    """Data from a file, see :meth:`evaluators.training.Data.read`; ``mnist.npz:16`` makes images of 16 x 16 of them."""
    path, _, side = name.partition(":")
    arrays = arrays_of(path)
    if side:
        for key in ("x_train", "x_test"):
            images = torch.from_numpy(arrays[key].astype(np.float32))[:, None]
            arrays[key] = functional.adaptive_avg_pool2d(images, int(side))[:, 0].numpy()
    return Data.of(**arrays)
