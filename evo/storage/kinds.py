"""What a run is: a search for a topology, or a study, of which not everything can be asked that can of a search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_STUDIES = {"cases": "a search for a rule", "budgets": "a study of proxies", "series": "a study of a figure"}
"""The setting that only the recipes of a study have, and what it is."""


def check_is_search(folder: Path, recipe: Mapping[str, object], asked: str = "") -> None:
    """Raise ValueError where a run is a study, by its recipe; what was ``asked`` of it is named, if anything is."""
    kind = next((kind for key, kind in _STUDIES.items() if key in recipe), None)
    if kind is not None:
        raise ValueError(f"{asked and f'{asked}: '}{folder} is {kind}, not a search for a topology")
