"""What becomes of the layers of a model, as records and as the table that people read."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from math import prod
from typing import TYPE_CHECKING, TypeVar

from topologies.topology import Topology

if TYPE_CHECKING:
    from rich.table import Table

_NARROW, _WIDE = 80, 120  # columns of a terminal between which the table is laid out
_ROOMY = 100
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Change:
    """A matrix of a layer that is made sparse: the layer's names in the model, its kind, and the topology it gets.

    A layer of several matrices has as many changes, told apart by ``path``, where the cascade stands in the sparse
    layer. ``n_dense`` are the weights of the dense layer that it stands for, ``n_beside`` those that the sparse form
    has beside the edges; ``weight_bytes`` are those of one weight, ``text`` the words for the topology; for ``time``
    and ``unconnected`` see :class:`topologies.models.choice.Choice`.
    """

    names: tuple[str, ...]
    kind: str
    path: str
    n_in: int
    n_out: int
    n_dense: int
    n_beside: int
    weight_bytes: int
    topology: Topology
    text: str
    time: float
    unconnected: float

    @property
    def n_sparse(self) -> int:
        """The weights of the sparse form."""
        return self.topology.n_trainable + self.n_beside


@dataclass(frozen=True)
class Skip:
    """A layer that is left as it is: its names in the model, its kind, and the reason."""

    names: tuple[str, ...]
    kind: str
    reason: str


@dataclass(frozen=True, repr=False)
class Plan:
    """What :func:`topologies.models.convert` would do to a model; as text it is a table.

    ``n_parameters`` are those of the model as it is; ``time`` of a change is that of training on 512 rows, over the
    dense layer's, as predicted.
    """

    changes: tuple[Change, ...]
    skipped: tuple[Skip, ...]
    n_parameters: int

    @cached_property
    def n_parameters_after(self) -> int:
        """Parameters of the model once it is converted."""
        return self.n_parameters - sum(change.n_dense - change.n_sparse for change in self.changes)

    def __str__(self) -> str:
        return plan_text(self)

    __repr__ = __str__


_Entry = TypeVar("_Entry", Change, Skip)


def plan_text(plan: Plan) -> str:
    """The table of a plan; equal layers whose names differ in numbers alone, such as those of blocks, share a row."""
    from rich.console import Console

    width = min(max(shutil.get_terminal_size().columns, _NARROW), _WIDE)
    console = Console(file=StringIO(), width=width, color_system=None)
    if plan.changes:
        console.print(_changes(plan.changes, _table(width)))
    else:
        console.print("No layer is made sparse.")
    if plan.skipped:
        console.print(_skipped(plan.skipped, _table(width)))
    before, after = plan.n_parameters, plan.n_parameters_after
    layers = len({name for change in plan.changes for name in change.names})
    console.print(
        f"{layers} of {layers + sum(len(skip.names) for skip in plan.skipped)} layers are made sparse: "
        f"{before:,} parameters → {after:,} ({after / max(1, before):.0%})",
        soft_wrap=True,
    )
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def _changes(changes: Sequence[Change], table: Table) -> Table:
    for heading in ("layer", "kind", "shape", "weights", "bytes", "topology", "depth", "time"):
        text = heading in ("layer", "kind", "topology")
        table.add_column(
            heading,
            justify="left" if text else "right",
            overflow="fold",
            no_wrap=heading in ("shape", "depth", "time"),
        )
    for names, one in _rows(changes, _look):
        dense, sparse = one.n_dense, one.n_sparse
        table.add_row(
            names,
            one.kind,
            f"{one.n_in} x {one.n_out}",
            f"{_short(dense)} → {_short(sparse)}",
            f"{_short(dense * one.weight_bytes)}B → {_short(sparse * one.weight_bytes)}B",
            one.text + (f", {one.unconnected:.1%} unconnected" if one.unconnected else ""),
            str(one.topology.depth),
            f"{one.time:.2f}",
        )
    table.caption = (
        "weights and bytes: of the matrix alone, neither biases nor edge lists; time: of training on 512 rows, "
        "predicted, over the dense layer's"
    )
    table.caption_justify = "left"
    return table


def _skipped(skipped: Sequence[Skip], table: Table) -> Table:
    for heading in ("left as it is", "kind", "why"):
        table.add_column(heading, overflow="fold")
    for names, one in _rows(skipped, lambda skip: (skip.kind, skip.reason)):
        table.add_row(names, one.kind, one.reason)
    return table


def _table(width: int) -> Table:
    """An empty table; in a narrow one the columns stand closer."""
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, padding=(0, int(width >= _ROOMY), 0, 0), pad_edge=False)


def _look(change: Change) -> tuple[object, ...]:
    """What has to be equal for two changes to share a row."""
    return change.kind, change.n_in, change.n_out, change.weight_bytes, change.text, id(change.topology)


def _rows(entries: Iterable[_Entry], look: Callable[[_Entry], tuple[object, ...]]) -> list[tuple[str, _Entry]]:
    """The entries in order, as names and an entry: one for all of equal look whose names differ in numbers alone."""
    groups: dict[tuple[object, ...], list[_Entry]] = {}
    for place, entry in enumerate(entries):
        shared = place if len(entry.names) > 1 else None  # a module at several places has a row of its own
        groups.setdefault((_NUMBER.sub("#", entry.names[0]), shared, look(entry)), []).append(entry)
    return [(_names(group), group[0]) for group in groups.values()]


def _names(group: Sequence[Change | Skip]) -> str:
    """The names of layers that share a row, and how many matrices of each do."""
    names = list(dict.fromkeys(entry.names[0] for entry in group))
    text = _together(names) if len(names) > 1 else _alone(group[0])
    return text if len(group) == len(names) else f"{text}, {len(group) // len(names)} matrices"


def _alone(entry: Change | Skip) -> str:
    return " = ".join(name or "(the model)" for name in entry.names)


def _together(names: Sequence[str]) -> str:
    """Names that differ in numbers alone as one: ``blocks.0-11.fc1 (12)``, or ``blocks.{0.1,1.0}.fc1 (2)``."""
    places = [
        sorted(set(numbers)) for numbers in zip(*(map(int, _NUMBER.findall(name)) for name in names), strict=True)
    ]
    if prod(map(len, places)) == len(names):
        texts = iter([_span(numbers) for numbers in places])
        return f"{_NUMBER.sub(lambda _: next(texts), names[0])} ({len(names)})"
    parts = [name.split(".") for name in names]
    differ = [place for place, found in enumerate(zip(*parts, strict=True)) if len(set(found)) > 1]
    first, end = differ[0], differ[-1] + 1
    middle = "{" + ",".join(".".join(part[first:end]) for part in parts) + "}"
    return f"{'.'.join([*parts[0][:first], middle, *parts[0][end:]])} ({len(names)})"


def _span(numbers: Sequence[int]) -> str:
    """``0-11`` of all numbers between, ``0,3,4`` of others."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))


def _short(count: float) -> str:
    """A count in three digits or four: 960, 59.4k, 2.36M."""
    for unit in ("", "k", "M"):
        if count < 1000:
            return f"{count:.4g}{unit}" if not unit else f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g}G"
