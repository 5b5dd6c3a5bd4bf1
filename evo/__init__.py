"""The search: recipes, the loop, variation, selection, tuning, journal, tracking, tables and the command line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import fcntl as _fcntl  # noqa: F401
except ImportError:
    raise ImportError(
        "evo needs Linux or macOS (on Windows, the Windows Subsystem for Linux): files cannot be locked here, as runs "
        "are locked"
    ) from None

if TYPE_CHECKING:
    from evo.door import Result, search
    from evo.settings import Settings

__all__ = ["Result", "Settings", "search"]

_LAZY = {"Result": "evo.door", "Settings": "evo.settings", "search": "evo.door"}


def __getattr__(name: str) -> Any:
    """Import the loop only where it is used, so that ``evofabric --help`` answers at once."""
    if name not in _LAZY:
        raise AttributeError(f"module 'evo' has no attribute {name!r}")
    from topologies.extras import needed_by

    with needed_by(f"evo.{name}"):
        return getattr(import_module(_LAZY[name]), name)
