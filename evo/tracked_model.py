"""The name by which models registered with version 0.1 are loaded."""

from evo.tracking.pyfunc import TrackedModel, _load_pyfunc

__all__ = ["TrackedModel", "_load_pyfunc"]
