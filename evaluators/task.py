"""What an evaluator is asked and what it answers: plain values that travel between processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np

from topologies.stack import AnyTopology


class Split(StrEnum):
    """Where target matrices come from; the three are never mixed."""

    SEARCH = "search"
    """Targets on which the search compares candidates and chooses learning rates."""
    VALIDATION = "validation"
    """Targets on which the last few candidates are ranked again, at full fidelity."""
    TEST = "test"
    """Targets that are read once, by the final table and by ``verify``; nothing is chosen or tuned on them."""

    @property
    def key(self) -> str:
        """The word for the split in the keys of random numbers, which decides every target and start."""
        return _KEYS[self]


_KEYS = {Split.SEARCH: "search", Split.VALIDATION: "choice", Split.TEST: "held-out"}
"""Older words for the splits, kept because other words would draw other numbers."""


@dataclass(frozen=True)
class Fidelity:
    """How carefully a topology is evaluated: more of anything costs more time and gives a sharper score.

    Parameters
    ----------
    targets:
        Number of target matrices; where a model is trained on data, the number of trainings, each from its own seed.
    steps:
        Adam steps for each target; where a model is trained on data, epochs.
    rates:
        Peak learning rates to try; the best in the mean over the targets counts.
    weight_decays:
        Decoupled weight decays, of which each is tried with every rate by evaluators that know weight decay.

    Raises
    ------
    ValueError
        For a number below 1, a rate that is not positive and finite, or a weight decay that is negative or infinite.
    """

    targets: int
    steps: int
    rates: tuple[float, ...]
    weight_decays: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        if self.targets < 1 or self.steps < 1:
            raise ValueError(f"targets = {self.targets}, steps = {self.steps}: both are at least 1")
        if not self.rates or not all(0 < rate < float("inf") for rate in self.rates):
            raise ValueError(f"rates = {self.rates}: at least one, each positive and finite")
        if not self.weight_decays or not all(0 <= decay < float("inf") for decay in self.weight_decays):
            raise ValueError(f"weight_decays = {self.weight_decays}: at least one, none negative or infinite")

    @property
    def cost(self) -> int:
        """Training steps in all: those of every target at every rate and weight decay."""
        return self.targets * self.steps * len(self.rates) * len(self.weight_decays)

    def promoted(self, targets: int, chosen: Score | None = None) -> Fidelity:
        """The same steps on this many targets, at the learning rate and weight decay that a score chose, if it did."""
        return self.at(targets, chosen.learning_rate, chosen.weight_decay) if chosen else self.at(targets, None, None)

    def at(self, targets: int, rate: float | None, weight_decay: float | None) -> Fidelity:
        """The same steps on this many targets, at one learning rate and one weight decay; None leaves all of them."""
        rates = self.rates if rate is None else (rate,)
        return Fidelity(targets, self.steps, rates, self.weight_decays if weight_decay is None else (weight_decay,))


@dataclass(frozen=True)
class Score:
    """What an evaluator found: one error a target, lower is better, so that comparisons can be paired.

    Parameters
    ----------
    errors:
        Numbers, one for each of ``fidelity.targets``: a sequence, an array or a tensor; kept as a tuple of floats.
    learning_rate:
        The learning rate that was chosen, where there was one to choose.
    weight_decay:
        The weight decay that was chosen, where there was one to choose.
    example_errors:
        The error of every training on every test example, packed (:mod:`evaluators.example_errors`), where all
        trainings were tested on the same ones.

    Raises
    ------
    ValueError
        When ``errors`` is no sequence of numbers, or is empty, ``learning_rate`` is not positive and finite, or
        ``weight_decay`` is negative or infinite.
    """

    errors: tuple[float, ...]
    learning_rate: float | None = None
    weight_decay: float | None = None
    example_errors: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "errors", _errors(self.errors))
        if self.learning_rate is not None:
            object.__setattr__(self, "learning_rate", _learning_rate(self.learning_rate))
        if self.weight_decay is not None and not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"weight_decay = {self.weight_decay!r}: a finite number from 0 on, or None, is wanted")

    @property
    def error(self) -> float:
        """Mean error over the targets; infinite where any error is not a number, so that it never wins."""
        mean = float(np.mean(self.errors))
        return mean if np.isfinite(mean) else float("inf")


def _errors(given: Any) -> tuple[float, ...]:
    """Errors as floats: ValueError for what is no sequence of numbers."""
    try:
        if isinstance(given, str | bytes):
            raise TypeError
        values = given.tolist() if hasattr(given, "tolist") else given
        found = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise ValueError(f"errors = {given!r}: a sequence of numbers is wanted, one a target") from None
    if not found:
        raise ValueError("errors is empty: a sequence of numbers is wanted, one a target")
    return found


def _learning_rate(given: Any) -> float:
    """A learning rate as a float: ValueError unless it is positive and finite."""
    try:
        rate = float(given)
    except (TypeError, ValueError):
        rate = float("nan")
    if not 0 < rate < float("inf"):
        raise ValueError(f"learning_rate = {given!r}: a positive and finite number, or None, is wanted")
    return rate


class Evaluator(Protocol):
    """Anything that scores topologies. A score must depend on the arguments alone.

    What it scores is for its own ``evaluate`` to say: a :class:`topologies.topology.Topology`, of models with several
    places a :class:`topologies.stack.Stack`, or either. A recipe gives it what its places want.
    """

    def evaluate(self, topology: Any, fidelity: Fidelity, split: Split, seed: int, /) -> Score:
        """The score of one topology; equal arguments give equal bits, whatever ran before."""
        ...


@runtime_checkable
class BatchEvaluator(Evaluator, Protocol):
    """An evaluator that is faster on many topologies at a time, as on a GPU, with the bits of one at a time."""

    def evaluate_many(self, tasks: Sequence[Task]) -> list[Score]:
        """The scores of the tasks' topologies at their fidelities; races are not its business."""
        ...


@runtime_checkable
class IdentifiedEvaluator(Evaluator, Protocol):
    """An evaluator that scores by something of the user's, as by data, and can say by what."""

    @property
    def identity(self) -> str:
        """Text that differs where scores may: the fingerprint of the data, and what is made of them."""
        ...


@runtime_checkable
class ProvingEvaluator(Evaluator, Protocol):
    """An evaluator whose errors hide the last bits, as numbers of wrong answers do, and which proves itself by more."""

    def proof(self, topology: Any, fidelity: Fidelity, split: Split, seed: int) -> str:
        """Text that differs where any bit of what is computed for a score does."""
        ...


@runtime_checkable
class SlowEvaluator(Evaluator, Protocol):
    """An evaluator whose steps are long, as epochs are: a worker's proof takes as few of them as this says."""

    @property
    def proof_steps(self) -> int:
        """Steps of the small evaluation by which a worker proves itself."""
        ...


@runtime_checkable
class VariedEvaluator(Evaluator, Protocol):
    """An evaluator that makes several kinds of models of one topology, of which a task's ``variant`` names one."""

    def variant(self, name: str) -> Evaluator:
        """The evaluator of that kind; ValueError where there is none."""
        ...


class BrokenDeviceError(RuntimeError):
    """What computes is broken, not what was to be computed: says nothing of a topology, which is tried elsewhere."""


@runtime_checkable
class GpuEvaluator(Evaluator, Protocol):
    """An evaluator that can also work on a GPU, to the same bits."""

    def on_gpu(self) -> BatchEvaluator:
        """The same evaluator on the GPU of whatever process it is in."""
        ...

    def gpu_trouble(self) -> str | None:
        """In one line why this process cannot use a GPU, or not to the same bits; None if it can."""
        ...


@dataclass(frozen=True)
class Race:
    """The promotion of a candidate whose error is low enough: it is scored again on more targets.

    The threshold travels with the task, so that a worker runs the whole race alone and the outcome does not depend on
    when that is.

    Parameters
    ----------
    threshold:
        The error below which a candidate is promoted; without one, every candidate with a finite error is.
    targets:
        Targets of the second evaluation, at the learning rate that the first one chose.
    """

    threshold: float | None
    targets: int

    def promotes(self, score: Score) -> bool:
        """Whether a candidate with this score is promoted."""
        return score.error < (float("inf") if self.threshold is None else self.threshold)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One evaluation to be made somewhere.

    Parameters
    ----------
    topology:
        In canonical form; a stack, where a model has several places.
    fidelity, split, seed:
        As the evaluator takes them.
    race:
        The promotion that the candidate may earn.
    measures:
        Proxies that are wanted of the topology besides its score.
    noted:
        Proxies that are noted of it where they can be found. They decide nothing: one that fails is left out.
    variant:
        What is made of the topology, where the evaluator is a :class:`VariedEvaluator`.
    number:
        How the asker recognises the outcome.
    """

    topology: AnyTopology
    fidelity: Fidelity
    split: Split
    seed: int
    race: Race | None = None
    measures: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()
    variant: str = ""
    number: int = 0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a task: a score, or in words why there is none.

    ``entry`` is the score with which the task's race was entered, where the candidate was promoted and ``score`` is
    that of the second evaluation. ``measures`` holds what was wanted and what was noted.
    """

    score: Score | None = None
    failure: str | None = None
    entry: Score | None = None
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The answer to the task of this number, the seconds that it took, and the device that it ran on."""

    number: int
    answer: Answer
    seconds: float
    device: str
