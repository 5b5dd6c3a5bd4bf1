"""The arguments and options that several commands share."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from evo.kinds import Kind, kind_of

if TYPE_CHECKING:
    from evo.run_settings import RunSettings

_SettingsT = TypeVar("_SettingsT", bound="RunSettings")


def recipes_of(*kinds: Kind) -> Callable[[str], list[str]]:
    """Recipes of some kinds that come with evofabric, to complete a command line with; a shell adds files itself."""

    def names(incomplete: str) -> list[str]:
        from evo.shipped import FOLDER, shipped

        found = [name for name in shipped() if name.startswith(incomplete)]
        texts = [(FOLDER / f"{name}.toml").read_text(encoding="utf-8") for name in found]
        return [name for name, text in zip(found, texts, strict=True) if kind_of(tomllib.loads(text)) in kinds]

    return names


def tuned_families(incomplete: str) -> list[str]:
    """Families that are tuned, for the completion of a command line."""
    from evo.storage.names import BASELINES

    return [name for name in BASELINES if name.startswith(incomplete)]


def _a_recipe(example: str, *kinds: Kind) -> Any:
    """The argument that names a recipe of some kinds."""
    told = f"A recipe (TOML), or one of evofabric's: {example}."
    return typer.Argument(help=told, show_default=False, autocompletion=recipes_of(*kinds))


FigureRecipe = Annotated[Path, _a_recipe("fig4", Kind.FIGURE)]
ProxiesRecipe = Annotated[Path, _a_recipe("proxies", Kind.PROXIES)]
AnyRecipe = Annotated[Path | None, _a_recipe("quick; or none, and --data", Kind.SEARCH, Kind.RULES)]
DataFile = Annotated[
    str | None, typer.Option("--data", help="Search on data without a recipe: an .npz file, or digits.")
]
Hidden = Annotated[str | None, typer.Option(help="With --data: widths of the hidden layers, as 256,256 (or 256).")]
Density = Annotated[float | None, typer.Option(help="With --data: trainable share of their weights (0.1).")]
Minutes = Annotated[float | None, typer.Option(help="With --data: when a search should have ended (15).")]
Epochs = Annotated[int | None, typer.Option(help="With --data: epochs of the rows of the final table.")]
Examples = Annotated[int | None, typer.Option(help="With --data: examples to take at most.")]
Task = Annotated[
    Literal["classification", "regression"] | None,
    typer.Option(help="With --data: what y is, where the data alone do not tell."),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: --set budget=320 --set loop.generations=10.")
]
Address = Annotated[str | None, typer.Option("--ray-address", help="Join a Ray cluster: auto or HOST:PORT.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Evaluators at work; by default one a core.")]
PoolName = Annotated[
    Literal["ray", "in-process"] | None,
    typer.Option("--pool", help="Evaluate in Ray actors (of a local Ray, without an address) or in this process."),
]
Json = Annotated[bool, typer.Option("--json", help="Print results as a line of JSON; all else goes to stderr.")]
Names = Annotated[
    list[str],
    typer.Argument(
        metavar="X...", help="Files, runs' folders, family expressions or models:/NAME.", show_default=False
    ),
]
Runs = Annotated[Path, typer.Option("--runs", help="The folder of results.")]

USUAL_WIDTHS = "256"
"""Of the hidden layers of a search on data: one layer, which fits any number of inputs."""


def widths(hidden: str | None) -> tuple[int, ...]:
    """The widths of the hidden layers that ``--hidden`` says."""
    try:
        return tuple(int(width) for width in (hidden or USUAL_WIDTHS).split(","))
    except ValueError:
        raise ValueError(f"--hidden {hidden}: widths are wanted, as 256,256 or 256") from None


def two_sides(size: str) -> tuple[int, int]:
    """The inputs and outputs that ``--size`` says."""
    found = re.fullmatch(r"(\d+)x(\d+)", size)
    if not found:
        raise ValueError(f"--size {size}: inputs and outputs are wanted, as 64x48")
    return int(found[1]), int(found[2])


def one_thread() -> None:
    """Compute on one core in this process, as workers do: called before numpy is loaded, which reads it once."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def placed(settings: _SettingsT, address: str | None, workers: int | None, pool: str | None = None) -> _SettingsT:
    """The settings with the command line's word on where to evaluate; a Ray without an address is a local one."""
    if address is not None and pool == "in-process":
        raise ValueError("--ray-address joins a cluster and --pool in-process uses none: leave one of them out")
    asked = {"pool": pool if address is None else "ray", "address": address, "workers": workers}
    if workers is not None and (asked["pool"] or settings.cluster.pool) == "in-process":
        raise ValueError("--workers is for Ray, and the pool is in-process, which evaluates one after another")
    changes: dict[str, object] = {name: value for name, value in asked.items() if value is not None}
    if pool == "ray" and address is None:
        changes["address"] = None
    return settings.model_copy(update={"cluster": settings.cluster.model_copy(update=changes)})
