"""Intervals over training seeds and test examples, for one row and for the difference of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
"""Coverage of the intervals."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and examples, the ends of its interval, and the p-value of it being zero."""

    mean: float
    low: float
    high: float
    p: float


def estimate(values: NDArray[np.floating]) -> Estimate:
    """Of ``(seeds, examples)`` numbers the mean and its interval, both seeds and examples taken for samples.

    The variance of the mean is that between seeds over their number plus that between examples over theirs. What is
    between single answers is in both, so the interval is a little too wide rather than too narrow. Degrees of freedom
    are Welch's.
    """
    seeds, examples = values.shape
    of_seeds = values.mean(axis=1).var(ddof=1) / seeds if seeds > 1 else 0.0
    of_examples = values.mean(axis=0).var(ddof=1) / examples
    variance = of_seeds + of_examples
    mean = float(values.mean())
    if variance == 0:
        return Estimate(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    parts = (of_seeds**2 / (seeds - 1) if seeds > 1 else 0.0) + of_examples**2 / (examples - 1)
    freedom = variance**2 / parts
    error = variance**0.5
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return Estimate(mean, mean - half, mean + half, float(2 * stats.t.sf(abs(mean) / error, freedom)))


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values (Holm, 1979): below a level where all of them together err so often at most."""
    order = np.argsort(p, kind="stable")
    scaled = np.array(p)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(scaled)) if len(p) else scaled
    return [float(one) for one in adjusted]
