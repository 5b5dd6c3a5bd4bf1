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


_STUDIES = {"cases": Kind.RULES, "budgets": Kind.PROXIES, "series": Kind.FIGURE}
"""The setting that only the recipes of a study have, and what it is."""


def kind_of(recipe: Mapping[str, object]) -> Kind:
    """What a run is, by its recipe."""
    return next((kind for key, kind in _STUDIES.items() if key in recipe), Kind.SEARCH)


def check_is_search(folder: Path, recipe: Mapping[str, object], asked: str = "") -> None:
    """Raise ValueError where a run is a study, by its recipe; what was ``asked`` of it is named, if anything is."""
    kind = kind_of(recipe)
    if kind is not Kind.SEARCH:
        raise ValueError(f"{asked and f'{asked}: '}{folder} is {kind}, not {Kind.SEARCH}")
