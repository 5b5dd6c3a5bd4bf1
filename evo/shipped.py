"""The recipes that come with evofabric, which commands find from any folder.

They are the files of ``runs/``: in a checkout ``evo/recipes`` is a link to that folder, in an installed package it is
a folder with copies of them.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "recipes"


def shipped() -> tuple[str, ...]:
    """The names of the recipes that come with evofabric."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def recipe_file(recipe: Path) -> Path:
    """The file that a recipe's name stands for.

    That is the file itself where there is one, and else, for ``quick``, ``quick.toml`` and ``runs/quick.toml``, the
    recipe of that name that comes with evofabric. Any other name is returned as it is.
    """
    own = FOLDER / f"{recipe.name.removesuffix('.toml')}.toml"
    if recipe.is_file() or recipe.parent not in (Path(), Path("runs")) or not own.is_file():
        return recipe
    return own
