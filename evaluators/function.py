"""A plain function as an evaluator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evaluators.task import Evaluator, Fidelity, Score, Split
from topologies.topology import Topology

Function = Callable[[Topology, Fidelity, Split, int], Score]


@dataclass(frozen=True)
class FunctionEvaluator:
    """Evaluator that calls a function ``(topology, fidelity, split, seed)``, which returns a :class:`Score`."""

    function: Function

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """What the function returns."""
        return self.function(topology, fidelity, split, seed)


def as_evaluator(given: Evaluator | Function) -> Evaluator:
    """An evaluator as it is, or a function made one.

    Raises
    ------
    ValueError
        For anything else.
    """
    if callable(getattr(given, "evaluate", None)):
        return given  # type: ignore[return-value]
    if callable(given):
        return FunctionEvaluator(given)
    raise ValueError(f"{given!r} is no evaluator: it has no method `evaluate(topology, fidelity, split, seed)`")


def name_of(evaluator: Evaluator) -> str:
    """The module and the class, or the function, of an evaluator."""
    what = evaluator.function if isinstance(evaluator, FunctionEvaluator) else type(evaluator)
    return f"{what.__module__}:{what.__qualname__}"
