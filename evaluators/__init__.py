"""Evaluators: what a topology is worth. Pure functions of (topology, fidelity, stream, seed); no input or output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evaluators.task import Evaluator, Fidelity, Outcome, Race, Score, Stream, Task

if TYPE_CHECKING:
    from evaluators.capacity import Capacity
    from evaluators.controllability import Controllability
    from evaluators.matching import ConstraintMatching
    from evaluators.reconstruction import MatrixReconstruction
    from evaluators.tangent_rank import TangentRank

__all__ = [
    "Capacity",
    "ConstraintMatching",
    "Controllability",
    "Evaluator",
    "Fidelity",
    "MatrixReconstruction",
    "Outcome",
    "Race",
    "Score",
    "Stream",
    "TangentRank",
    "Task",
]

_LAZY = {
    "Capacity": "evaluators.capacity",
    "ConstraintMatching": "evaluators.matching",
    "Controllability": "evaluators.controllability",
    "MatrixReconstruction": "evaluators.reconstruction",
    "TangentRank": "evaluators.tangent_rank",
}


def __getattr__(name: str) -> Any:
    """Import an evaluator only where it is used: scipy and numba take a while to load."""
    if name not in _LAZY:
        raise AttributeError(f"module 'evaluators' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
