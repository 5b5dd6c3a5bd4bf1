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
class Given:
    """What an experiment is given."""

    data: Data
    device: str
    epochs: int
    out: Path
    stem: str = ""
    champions: tuple[Row, ...] = ()
    only: tuple[str, ...] = ()
    """The rows that are made beside the champions; all where there are none."""

    def on(self, data: Data) -> OnDevice:
        """Data on the device."""
        return OnDevice(data, self.device)

    def rows(self, setting: Setting) -> list[Row]:
        """The rows of a main table that are wanted and can be trained in reasonable time."""
        return self.of(all_rows(setting, self.champions), setting)

    def of(self, rows: Sequence[Row], setting: Setting) -> list[Row]:
        """Those of some rows that are wanted and can be trained in reasonable time."""
        wanted = {*self.only, *(row.name for row in self.champions)}
        return feasible([row for row in rows if row.name in wanted] if self.only else rows, setting)


def in_order(given: Given) -> None:
    """Two square places, all rows, the inputs as they are."""
    _main_table("in-order", given, given.data)


def shuffled_inputs(given: Given) -> None:
    """The same with the inputs in another order, one for all examples, which nobody is told."""
    _main_table("shuffled", given, shuffled(given.data))


def _main_table(name: str, given: Given, data: Data) -> None:
    n = data.inputs
    setting = Setting(given.on(data), (n, n, n), (n * FAN_IN,) * 2)
    table(name, given.rows(setting), setting, given.epochs, given.out)


def curve(given: Given) -> None:
    """Some rows at several densities, the inputs shuffled."""
    n = given.data.inputs
    on = given.on(shuffled(given.data))
    for density in DENSITIES:
        setting = Setting(on, (n, n, n), (n * max(2, round(density * n)),) * 2)
        wanted = ("parallel butterfly", "parallel butterfly, re-ordered", "random regular", "butterfly, re-ordered")
        rows = [*patch_rows(setting), *structured(setting), *random_rows(setting)]
        rows = [row for row in rows if row.name in wanted or "patches" in row.name]
        if density == DENSITIES[-1]:
            rows.append(dense_rows(setting)[0])
        table(f"density-{density:.0%}".replace("%", "-percent"), rows, setting, given.epochs, given.out, follow=False)


def transfer(given: Given) -> None:
    """Masks that were made from one half of the classes, in networks that learn the other half."""
    n, classes = given.data.inputs, len(given.data.classes)
    halves = [of_classes(given.data, range(classes // 2)), of_classes(given.data, range(classes // 2, classes))]
    setting = Setting(given.on(halves[1]), (n, n, n), (n * FAN_IN,) * 2, masks_from=given.on(halves[0]))
    rows = [*given.champions, *patch_rows(setting), *structured(setting), *random_rows(setting)]
    rows += [rigl_row(setting), dense_rows(setting)[0]]
    table("transfer", given.of(rows, setting), setting, given.epochs, given.out)


def rectangular(given: Given) -> None:
    """Two places of 256 neurons on more inputs than that, such as 784, at 1 % and 5 % of the dense edges."""
    for density in (0.01, 0.05):
        widths = (given.data.inputs, 256, 256)
        _at_density(f"{widths[0]}-inputs-{density:.0%}".replace("%", "-percent"), given, widths, density)


def colour(given: Given) -> None:
    """Two places of 512 neurons at 5 % of the dense edges, meant for colour images of 32 x 32."""
    _at_density(f"{given.data.inputs}-inputs-512", given, (given.data.inputs, 512, 512), 0.05)


def _at_density(name: str, given: Given, widths: tuple[int, ...], density: float) -> None:
    budgets = tuple(round(density * n_in * n_out) for n_in, n_out in pairwise(widths))
    setting = Setting(given.on(given.data), widths, budgets)
    table(name, given.rows(setting), setting, given.epochs, given.out)


def predict(given: Given) -> None:
    """Accuracies of many kinds of topologies, in order, and what short trainings say of them."""
    n = given.data.inputs
    fan = FAN_IN if n >= 256 else FAN_IN // 2
    setting = Setting(given.on(given.data), (n, n, n), (n * fan,) * 2)
    accuracies(f"topologies-{given.stem}", setting, fan, given.epochs, given.out)


EXPERIMENTS: dict[str, Callable[[Given], None]] = {
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


def shuffled(data: Data) -> Data:
    """Data whose inputs stand in a fixed other order, which nobody is told."""
    return with_inputs(data, generator(0, "pixels").permutation(data.inputs))


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
