"""The words in which work is asked for and answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np

from topologies.topology import Topology


class Stream(StrEnum):
    """Where target matrices come from; the three are never mixed."""

    SEARCH = "search"
    """Told to the search, which also chooses learning rates on it."""
    CHOICE = "choice"
    """Re-ranks the last few candidates at full fidelity."""
    HELD_OUT = "held-out"
    """Read once, by the final table and by ``verify``; nothing is chosen or tuned on it."""


@dataclass(frozen=True)
class Fidelity:
    """How carefully a topology is evaluated: more of anything costs more time and gives a sharper score.

    Parameters
    ----------
    targets:
        Number of target matrices.
    steps:
        Adam steps for each target.
    rates:
        Peak learning rates to try; the best in the mean over the targets counts.

    Raises
    ------
    ValueError
        For a number below 1, or a rate that is not positive and finite.
    """

    targets: int
    steps: int
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.targets < 1 or self.steps < 1:
            raise ValueError(f"targets = {self.targets}, steps = {self.steps}: both are at least 1")
        if not self.rates or not all(0 < rate < float("inf") for rate in self.rates):
            raise ValueError(f"rates = {self.rates}: at least one, each positive and finite")

    def closer(self, targets: int, rate: float | None) -> Fidelity:
        """The same steps on this many targets, at the one rate that was chosen, if one was."""
        return Fidelity(targets, self.steps, self.rates if rate is None else (rate,))


@dataclass(frozen=True)
class Score:
    """What an evaluator found: one error a target (lower is better), so that comparisons can be paired.

    ``rate`` is the learning rate that was chosen, where there was one to choose.
    """

    errors: tuple[float, ...]
    rate: float | None = None

    @property
    def error(self) -> float:
        """Mean error over the targets; infinite where any error is not a number, so that it never wins."""
        mean = float(np.mean(self.errors))
        return mean if np.isfinite(mean) else float("inf")


class Evaluator(Protocol):
    """Anything that scores topologies. It must depend on its arguments alone."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, stream: Stream, seed: int) -> Score:
        """The score of one topology; equal arguments give equal bits, whatever ran before."""
        ...


@runtime_checkable
class BatchEvaluator(Evaluator, Protocol):
    """An evaluator that is faster on many topologies at a time, as on a GPU, with the bits of one at a time."""

    def evaluate_many(self, tasks: Sequence[Task]) -> list[Score]:
        """The scores of the tasks' own topologies at their fidelities; races and siblings are not its business."""
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
    """What a candidate must beat to be looked at more closely.

    One whose error is below ``bar`` is evaluated on ``targets`` targets at the rate it chose. The bar travels with
    the task, so that a worker runs the whole race alone and the outcome does not depend on when that is.
    """

    bar: float
    targets: int


@dataclass(frozen=True)
class Task:
    """One evaluation to be made somewhere; ``number`` is how the asker recognises the answer.

    Where there are ``siblings``, the data-free score ``screen`` (of :mod:`evaluators.proxies.registry`) chooses one of
    ``(topology, *siblings)``, and only that one is evaluated. ``measures`` are data-free scores wanted of it besides.
    """

    number: int
    topology: Topology
    fidelity: Fidelity
    stream: Stream
    seed: int
    race: Race | None = None
    siblings: tuple[Topology, ...] = ()
    screen: str | None = None
    measures: tuple[str, ...] = ()

    @property
    def candidates(self) -> tuple[Topology, ...]:
        """The topology and its siblings."""
        return (self.topology, *self.siblings)


@dataclass(frozen=True)
class Outcome:
    """The answer to a task: a score, or in words why there is none; and where and how long it ran.

    ``chosen`` is the place in ``(topology, *siblings)`` of what was evaluated. ``first`` is the score that the task's
    race was entered with, where it was won and ``score`` is the closer look. ``measures`` holds the screen's too.
    """

    number: int
    score: Score | None
    failure: str | None
    seconds: float
    device: str
    chosen: int = 0
    first: Score | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
