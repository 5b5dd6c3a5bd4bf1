"""A plain function as an evaluator, and what a user names as ``package.module:name``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from evaluators.staged import Staged
from evaluators.task import Evaluator, Fidelity, Score, Split
from topologies.stack import AnyTopology

Function = Callable[[Any, Fidelity, Split, int], Score]


@dataclass(frozen=True)
class FunctionEvaluator:
    """Evaluator that calls a function ``(topology, fidelity, split, seed)``, which returns a :class:`Score`."""

    function: Function

    def evaluate(self, topology: AnyTopology, fidelity: Fidelity, split: Split, seed: int) -> Score:
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
    """The module and the class, or the function, of an evaluator; of two that are staged, that of the final one."""
    if isinstance(evaluator, Staged):
        return name_of(evaluator.final)
    return name_of_function(evaluator.function if isinstance(evaluator, FunctionEvaluator) else type(evaluator))


def name_of_function(what: Callable[..., Any]) -> str:
    """The module of a function or class, and its name there; of an object that can be called, those of its class."""
    named = what if hasattr(what, "__qualname__") else type(what)
    return f"{named.__module__}:{named.__qualname__}"


def imported(name: str, what: str) -> Any:
    """The class or function ``package.module:name`` of the user's, also of a module in the current folder.

    Raises
    ------
    ValueError
        In one line, when there is none, or its module fails. ``what`` is what it is called in the message.
    """
    module, _, attribute = name.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # where a user's own module is; workers look there too
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:  # whatever a user's module raises
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{what} {name!r}: {told}") from error
