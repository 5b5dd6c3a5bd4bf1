"""The commands about recipes: init, settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evo.cli.options import Hidden, Task, two_sides, widths
from evo.cli.terminal import begin, console, status

if TYPE_CHECKING:
    from evaluators.training.labels import Kind
    from evo.settings import Settings


def init(
    file: Annotated[
        Path | None, typer.Argument(help="Where to write it; by default it is printed.", show_default=False)
    ] = None,
    size: Annotated[str | None, typer.Option(help="Inputs and outputs of the layer, as 64x48.")] = None,
    budget: Annotated[int | None, typer.Option(help="Trainable edges.")] = None,
    data: Annotated[
        str | None,
        typer.Option(help="A recipe for data: an .npz file with x_train and y_train, as mine.npz, or digits."),
    ] = None,
    hidden: Hidden = None,
    density: Annotated[
        float | None, typer.Option(help="Trainable share of the weights (with --data 0.1).", show_default=False)
    ] = None,
    task: Task = None,
) -> None:
    """Write a recipe to begin with, in which every setting is explained; no file is overwritten."""
    from evo.settings_text import commented_recipe

    begin("writing")
    if data is None and hidden is not None:
        raise ValueError("--hidden goes with --data: it says how wide the layers are that are trained on them")
    if data is None and task is not None:
        raise ValueError("--task goes with --data: it says whether their y are classes or quantities")
    if data is not None and size is not None:
        raise ValueError("--size goes without --data: the size follows from them, and from --hidden")
    if density is not None and budget is not None:
        raise ValueError("--budget or --density, not both: either says how many trainable edges there may be")
    if data is None:
        given, settings = _for_size(size, budget, density)
    else:
        given, settings = _for_data(data, hidden, density, budget, task)
    name = file or "recipe.toml"
    text = commented_recipe(
        settings,
        given,
        f"A recipe of evofabric. What it would cost: evofabric search {name} --dry-run\n\nLines that begin with one # "
        "show what holds by default, or ... where nothing does; take the # away to change them.",
    )
    status.stop()
    if file is None:
        print(text, end="")
        return
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise ValueError(f"{file} is there already and is left as it is: choose another name") from None
    except OSError as error:
        raise ValueError(f"cannot write to {file}: {error.strerror}") from None
    console.print(f"written to {file}; begin with: evofabric search {file}", soft_wrap=True, markup=False)


def settings(as_json: Annotated[bool, typer.Option("--json", help="As a JSON schema, for editors.")] = False) -> None:
    """Explain every setting of a recipe, as a page in markdown."""
    from evo.settings import Settings
    from evo.settings_text import settings_page
    from evo.studies.proxies.study import StudySettings

    begin("reading")
    status.stop()
    if as_json:
        print(json.dumps(Settings.model_json_schema()))
    else:
        print(settings_page({"A search": Settings, "A study of proxies": StudySettings}), end="")


def _for_size(size: str | None, budget: int | None, density: float | None) -> tuple[Mapping[str, Any], Settings]:
    from evo.experiment.for_data import check_density
    from evo.recipe import validate

    given: dict[str, Any] = {"n_in": 32, "n_out": 32, "budget": 640}
    if size is not None:
        given = dict(zip(("n_in", "n_out"), two_sides(size), strict=True))
    if density is not None:
        check_density(density)
        given["budget"] = round(density * given["n_in"] * given["n_out"])
    if budget is not None:
        given["budget"] = budget
    if "budget" not in given:
        raise ValueError(f"--size {size}: say by --budget or --density how many trainable edges there may be")
    return given, validate(given)


def _for_data(
    data: str, hidden: str | None, density: float | None, budget: int | None, task: Kind | None
) -> tuple[Mapping[str, Any], Settings]:
    from evo.experiment.for_data import Wanted, plain_recipe
    from evo.recipe import validate

    asked: dict[str, Any] = {} if density is None else {"density": density}
    wanted = Wanted(data, widths(hidden), task=task, **asked)
    given, found = plain_recipe(wanted)
    return (given, found) if budget is None else ({**given, "budget": budget}, validate({**given, "budget": budget}))
