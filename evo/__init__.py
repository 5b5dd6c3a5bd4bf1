"""The search: recipes, the loop, variation, selection, tuning, journal, tracking, tables and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evo.search import Result, search
    from evo.settings import Settings

__all__ = ["Result", "Settings", "search"]


def __getattr__(name: str) -> Any:
    """Import the loop only where it is used, so that ``evofabric --help`` answers at once."""
    if name in ("Result", "search"):
        from evo import search as module

        return getattr(module, name)
    if name == "Settings":
        from evo.settings import Settings

        return Settings
    raise AttributeError(f"module 'evo' has no attribute {name!r}")
