"""What a run is: a search for a topology, or a study, of which not everything can be asked that can of a search."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """What a run is."""

    SEARCH = "a search for a topology"
    RULES = "a search for a rule"
    PROXIES = "a study of proxies"
    FIGURE = "a study of a figure"


_MARKS = {
    "cases": Kind.RULES,
    "budgets": Kind.PROXIES,
    "series": Kind.FIGURE,
    "budget": Kind.SEARCH,
    "training": Kind.SEARCH,
    "targets": Kind.SEARCH,
}
"""Settings that only recipes of one kind have."""

_COMMANDS = {Kind.SEARCH: "search", Kind.RULES: "search", Kind.PROXIES: "proxies", Kind.FIGURE: "study"}
"""The command that carries out a recipe."""


def kind_of(recipe: Mapping[str, object]) -> Kind:
    """What a run is, by its recipe."""
    return next((kind for key, kind in _MARKS.items() if key in recipe), Kind.SEARCH)


def check_kind(file: Path, recipe: Mapping[str, object], wanted: Kind) -> None:
    """Raise ValueError where a recipe has settings of another kind alone, with what it is for."""
    marks = {key: kind for key, kind in _MARKS.items() if key in recipe}
    if marks and wanted not in marks.values():
        mark, kind = next(iter(marks.items()))
        raise ValueError(
            f"{file} is not {wanted}, but {kind}, for it has {mark!r}: evofabric {_COMMANDS[kind]} {file} takes it"
        )


def check_is_search(folder: Path, recipe: Mapping[str, object], asked: str = "") -> None:
    """Raise ValueError where a run is a study, by its recipe; what was ``asked`` of it is named, if anything is."""
    kind = kind_of(recipe)
    if kind is not Kind.SEARCH:
        raise ValueError(f"{asked and f'{asked}: '}{folder} is {kind}, not {Kind.SEARCH}")
