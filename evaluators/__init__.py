"""Evaluators: what a topology is worth. Pure functions of (topology, fidelity, split, seed); no input or output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evaluators.task import Answer, Evaluator, Fidelity, Outcome, Race, Score, Split, Task

if TYPE_CHECKING:
    from evaluators.controllability.evaluator import Controllability
    from evaluators.controllability.exact import fairest, greatest_total, least_loss
    from evaluators.controllability.flow import flow_bound
    from evaluators.proxies.capacity import Capacity
    from evaluators.proxies.graph_measures import requirements
    from evaluators.proxies.matching import ConstraintMatching
    from evaluators.proxies.tangent_rank import TangentRank
    from evaluators.reconstruction.evaluator import MatrixReconstruction
    from evaluators.reconstruction.l0 import l0_count
    from evaluators.reconstruction.own_targets import OwnTargets
    from evaluators.reconstruction.short import default_score
    from evaluators.training.data import Data
    from evaluators.training.evaluator import TrainedAccuracy

__all__ = [
    "Answer",
    "Capacity",
    "ConstraintMatching",
    "Controllability",
    "Data",
    "Evaluator",
    "Fidelity",
    "MatrixReconstruction",
    "Outcome",
    "OwnTargets",
    "Race",
    "Score",
    "Split",
    "TangentRank",
    "Task",
    "TrainedAccuracy",
    "default_score",
    "fairest",
    "flow_bound",
    "greatest_total",
    "l0_count",
    "least_loss",
    "requirements",
]

_LAZY = {
    "Capacity": "evaluators.proxies.capacity",
    "ConstraintMatching": "evaluators.proxies.matching",
    "Controllability": "evaluators.controllability.evaluator",
    "Data": "evaluators.training.data",
    "MatrixReconstruction": "evaluators.reconstruction.evaluator",
    "OwnTargets": "evaluators.reconstruction.own_targets",
    "TangentRank": "evaluators.proxies.tangent_rank",
    "TrainedAccuracy": "evaluators.training.evaluator",
    "default_score": "evaluators.reconstruction.short",
    "fairest": "evaluators.controllability.exact",
    "flow_bound": "evaluators.controllability.flow",
    "greatest_total": "evaluators.controllability.exact",
    "l0_count": "evaluators.reconstruction.l0",
    "least_loss": "evaluators.controllability.exact",
    "requirements": "evaluators.proxies.graph_measures",
}


def __getattr__(name: str) -> Any:
    """Import an evaluator only where it is used: scipy and numba take a while to load."""
    if name not in _LAZY:
        raise AttributeError(f"module 'evaluators' has no attribute {name!r}")
    from importlib import import_module

    from topologies.extras import needed_by

    with needed_by(f"evaluators.{name}"):
        return getattr(import_module(_LAZY[name]), name)
