"""Recipes that search by one evaluator and rank their finalists by another: the key ``search_by``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evo.own_data import RECONSTRUCTION, TRAINING

SHORT = {"reconstruction": RECONSTRUCTION}
"""What may be written in a recipe for an evaluator's whole name."""
NAME_OR_SHORT = rf"^([\w.]+:\w+|{'|'.join(SHORT)})$"


def whole_name(search_by: str) -> str:
    """The evaluator that a recipe searches by, ``package.module:Class``."""
    return SHORT.get(search_by, search_by)


def search_name(settings: Mapping[str, Any], final: str) -> str:
    """The evaluator of candidates, by a recipe's plain values and the name of the one of finalists."""
    search_by = settings.get("search_by")
    return final if search_by is None else whole_name(search_by)


def check_search_by(search_by: str | None, final: str, targets: str | None) -> None:
    """Raise ValueError where a recipe's ``search_by`` makes no sense beside its other evaluator."""
    if search_by is None:
        return
    if whole_name(search_by) == TRAINING:
        raise ValueError("search_by: candidates are trained where there is a section [training], leave search_by out")
    if whole_name(search_by) == final:
        raise ValueError(
            f"search_by = {search_by!r}: finalists are ranked by the same evaluator, so leave it out, or name another "
            'for them by a section [training] or by evaluator = "package.module:Class"'
        )
    if targets is not None:
        raise ValueError("targets: they are what finalists would be ranked by, which search_by does not go with")
