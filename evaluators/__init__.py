"""Evaluators: what a topology is worth. Pure functions of (topology, fidelity, stream, seed); no input or output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evaluators.task import Evaluator, Fidelity, Outcome, Score, Stream, Task

if TYPE_CHECKING:
    from evaluators.reconstruction import MatrixReconstruction

__all__ = ["Evaluator", "Fidelity", "MatrixReconstruction", "Outcome", "Score", "Stream", "Task"]


def __getattr__(name: str) -> Any:
    """Import the compiled evaluator only where it is used: numba takes a second to load."""
    if name == "MatrixReconstruction":
        from evaluators.reconstruction import MatrixReconstruction

        return MatrixReconstruction
    raise AttributeError(f"module 'evaluators' has no attribute {name!r}")
