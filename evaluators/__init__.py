"""Evaluators: what a topology is worth. Pure functions of (topology, fidelity, split, seed); no input or output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evaluators.task import Evaluator, Fidelity, Outcome, Race, Score, Split, Task

if TYPE_CHECKING:
    from evaluators.controllability.evaluator import Controllability
    from evaluators.proxies.capacity import Capacity
    from evaluators.proxies.matching import ConstraintMatching
    from evaluators.proxies.tangent_rank import TangentRank
    from evaluators.reconstruction.evaluator import MatrixReconstruction

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
    "Split",
    "TangentRank",
    "Task",
]

_LAZY = {
    "Capacity": "evaluators.proxies.capacity",
    "ConstraintMatching": "evaluators.proxies.matching",
    "Controllability": "evaluators.controllability.evaluator",
    "MatrixReconstruction": "evaluators.reconstruction.evaluator",
    "TangentRank": "evaluators.proxies.tangent_rank",
}


def __getattr__(name: str) -> Any:
    """Import an evaluator only where it is used: scipy and numba take a while to load."""
    if name not in _LAZY:
        raise AttributeError(f"module 'evaluators' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
