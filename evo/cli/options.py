"""The arguments and options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from evo.settings import RunSettings

_SettingsT = TypeVar("_SettingsT", bound="RunSettings")

Recipe = Annotated[Path, typer.Argument(help="A recipe (TOML), for example runs/quick.toml.", show_default=False)]
AnyRecipe = Annotated[Path | None, typer.Argument(help="A recipe (TOML); or none, and --data.", show_default=False)]
DataFile = Annotated[
    str | None, typer.Option("--data", help="Search on data without a recipe: an .npz file, or digits.")
]
Hidden = Annotated[str | None, typer.Option(help="With --data: widths of the hidden layers, as 256,256 (or 256).")]
Density = Annotated[float | None, typer.Option(help="With --data: trainable share of their weights (0.1).")]
Minutes = Annotated[float | None, typer.Option(help="With --data: when all should have ended (15).")]
Epochs = Annotated[int | None, typer.Option(help="With --data: epochs of the rows of the final table.")]
Examples = Annotated[int | None, typer.Option(help="With --data: examples to take at most.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: --set budget=320 --set loop.generations=10.")
]
Address = Annotated[str | None, typer.Option("--ray-address", help="Join a Ray cluster: auto or HOST:PORT.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Evaluators at work; by default one a core.")]
PoolName = Annotated[
    Literal["ray", "in-process"] | None, typer.Option("--pool", help="Evaluate in Ray actors or in this process.")
]
Json = Annotated[bool, typer.Option("--json", help="Print results as a line of JSON; all else goes to stderr.")]
Names = Annotated[
    list[str],
    typer.Argument(
        metavar="X...", help="Files, runs' folders, family expressions or models:/NAME.", show_default=False
    ),
]
Runs = Annotated[Path, typer.Option("--runs", help="The folder of results.")]


def one_thread() -> None:
    """Compute on one core in this process, as workers do: called before numpy is loaded, which reads it once."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def placed(settings: _SettingsT, address: str | None, workers: int | None, pool: str | None = None) -> _SettingsT:
    """The settings with the command line's word on where to evaluate."""
    if address is not None and pool == "in-process":
        raise ValueError("--ray-address joins a cluster and --pool in-process uses none: leave one of them out")
    asked = {"pool": pool if address is None else "ray", "address": address, "workers": workers}
    changes = {name: value for name, value in asked.items() if value is not None}
    return settings.model_copy(update={"cluster": settings.cluster.model_copy(update=changes)})
