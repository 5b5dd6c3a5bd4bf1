"""How far a mean error, or a mean difference of errors, can be trusted.

Three sources of uncertainty are told apart by what was repeated:

- *Independent targets or trainings* (reconstruction, evaluators of the user's own): Student's interval over them.
  Differences that are all equal are certain only where the errors themselves never vary; where they do, few and coarse
  ones may be equal by chance, which is no proof: their spread is then taken to be as great as their mean.
- *Trainings from S seeds, all tested on the same N examples.* Errors vary with the seed, with the example, and with
  both together. In the two-way analysis of variance with crossed random effects (Searle, Casella & McCulloch, Variance
  Components, 1992, section 4.3), with mean squares MS of seeds, of examples and of the rest, the variance of the
  mean is

      (MS_seeds + MS_examples - MS_rest) / (S * N),

  and never less than that of the seeds alone or of the examples alone. Its degrees of freedom are Satterthwaite's.
  Of a single training only the examples can tell: the variance is theirs, and leaves out that of the seeds.
- *Cross-validation with k folds.* The folds' test examples differ, so their spread holds both sources, but their
  training examples overlap, so that they are not independent: the variance of the mean is s^2 (1 / k + 1 / (k - 1))
  with Student's interval (Nadeau & Bengio, Inference for the Generalization Error, 2003). Equal ones are no proof here
  either.

A single value without examples tells nothing of its uncertainty: the variance is infinite then, and proves nothing.

Where many comparisons are made at once, :func:`holm` says which of them hold together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean, the variance of that mean, and the degrees of freedom with which the variance is known."""

    mean: float
    variance: float
    degrees: float

    @property
    def half_width(self) -> float:
        """Half the length of the 95 % interval: nothing where there is no uncertainty, infinite where it is unknown."""
        if self.variance <= 0:
            return 0.0
        return float(stdtrit(self.degrees, (1 + CONFIDENCE) / 2) * np.sqrt(self.variance))

    @property
    def p_value(self) -> float:
        """Two-sided, of the hypothesis that the mean is 0."""
        if self.variance <= 0:
            return float(self.mean == 0)
        return float(2 * stdtr(self.degrees, -abs(self.mean) / np.sqrt(self.variance)))


def estimate(
    values: NDArray[np.float64],
    examples: NDArray[np.float64] | None = None,
    is_cross_validation: bool = False,
    varies: bool = False,
) -> Estimate:
    """The mean of errors or of paired differences of errors.

    Parameters
    ----------
    values:
        One a target, training or fold.
    examples:
        The same of every example, shape ``(trainings, examples)``, where all trainings were tested on the same ones.
    is_cross_validation:
        Whether ``values`` are those of folds.
    varies:
        Whether what they are the differences of varies, so that equal ones may be so by chance.
    """
    are_equal = bool(np.all(values == values[0]))
    count, mean = values.size, float(values[0] if are_equal else np.mean(values))
    is_chance = are_equal and mean != 0 and (is_cross_validation or (varies and examples is None))
    if count < 2:
        return _of_one(mean, examples)
    if are_equal and examples is None and not is_chance:
        return Estimate(mean, 0.0, 1.0)
    spread = mean**2 if is_chance else float(np.var(values, ddof=1))
    if is_cross_validation:
        return Estimate(mean, spread * (1 / count + 1 / (count - 1)), count - 1)
    if examples is None or examples.shape[1] < 2:
        return Estimate(mean, spread / count, count - 1)
    return _crossed(mean, spread, examples)


def paired(
    mine: Sequence[float],
    other: Sequence[float],
    examples: NDArray[np.float64] | None = None,
    is_cross_validation: bool = False,
) -> Estimate:
    """The mean of (mine - other), error by error; differences that are equal but for rounding are equal.

    ``examples`` are the differences on every example, as for :func:`estimate`.
    """
    differences = np.subtract(mine, other)
    rounding = 1e-12 * max(np.abs(mine).max(), np.abs(other).max())
    if np.ptp(differences) <= rounding and (examples is None or not examples.any()):
        mean = float(np.mean(differences))
        differences = np.full_like(differences, mean if abs(mean) > rounding else 0.0)
    varies = max(np.ptp(mine), np.ptp(other)) > rounding
    return estimate(differences, examples, is_cross_validation, bool(varies))


def _of_one(mean: float, examples: NDArray[np.float64] | None) -> Estimate:
    """Of a single training or target."""
    if examples is None or examples.size < 2:
        return Estimate(mean, float("inf"), 1.0)
    return Estimate(mean, float(np.var(examples, ddof=1)) / examples.size, examples.size - 1)


def _crossed(mean: float, spread: float, examples: NDArray[np.float64]) -> Estimate:
    """Of trainings and examples that were crossed; ``spread`` is the variance of the trainings' own means."""
    trainings, count = examples.shape
    of_examples = examples.mean(axis=0)
    rest = examples - examples.mean(axis=1, keepdims=True) - of_examples + examples.mean()
    degrees = (trainings - 1, count - 1, (trainings - 1) * (count - 1))
    parts = (  # of the variance of the mean
        spread / trainings,
        float(np.var(of_examples, ddof=1)) / count,
        float(np.square(rest).sum()) / degrees[2] / (trainings * count),
    )
    variance = max(parts[0] + parts[1] - parts[2], parts[0], parts[1])
    if variance <= 0:
        return Estimate(mean, 0.0, 1.0)
    known = variance**2 / sum(part**2 / free for part, free in zip(parts, degrees, strict=True))
    return Estimate(mean, variance, max(1.0, known))


def holm(p_values: Mapping[str, float]) -> set[str]:
    """The comparisons that hold together at 95 % by Holm's step-down procedure (Scandinavian J. of Statistics 1979)."""
    held: set[str] = set()
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        if p_values[name] > (1 - CONFIDENCE) / (len(p_values) - place):
            break
        held.add(name)
    return held
