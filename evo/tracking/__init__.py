"""MLflow, a view of the journal, and the only package that imports MLflow."""

from evo.tracking.store import load_champion, track

__all__ = ["load_champion", "track"]
