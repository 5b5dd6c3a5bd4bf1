"""MLflow, a view of the journal, and the only package that imports MLflow."""

from evo.tracking.registry import load_champion, resolve
from evo.tracking.store import track

__all__ = ["load_champion", "resolve", "track"]
