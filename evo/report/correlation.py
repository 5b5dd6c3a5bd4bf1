"""Rank correlations of scores with errors, with bootstrap intervals over topologies."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap, pearsonr, rankdata

from evaluators.rng import generator

RESAMPLES = 1000
"""Bootstrap samples, drawn with a key of their own: the same for all scores of as many topologies."""

FEW = 8
"""Different values below which a running correlation says nothing."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A statistic, and the ends of its 95 % percentile interval; all NaN where it is not defined."""

    value: float
    low: float
    high: float


def spearman(x: ArrayLike, y: ArrayLike, resamples: int = RESAMPLES) -> Estimate:
    """Spearman's rank correlation; of ties the mean rank counts, and infinities may be ranked.

    NaN where all of ``x`` or all of ``y`` are equal.

    Raises
    ------
    ValueError
        For different lengths, or NaN among the values.
    """

    def correlation(x: _Floats, y: _Floats, axis: int) -> _Floats:
        return np.asarray(pearsonr(rankdata(x, axis=axis), rankdata(y, axis=axis), axis=axis).statistic)

    return _estimate(correlation, _pair(x, y), resamples)


def running_correlation(x: ArrayLike, y: ArrayLike) -> float | None:
    """Spearman's rank correlation without an interval, for curves; None of fewer than :data:`FEW` different values.

    Raises as :func:`spearman` does.
    """
    first, second = _pair(x, y)
    if min(np.unique(first).size, np.unique(second).size) < FEW:
        return None
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def kendall(x: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None, resamples: int = RESAMPLES) -> Estimate:
    """Kendall's tau-b: pairs ordered alike less pairs ordered otherwise, over the geometric mean of those not tied.

    With ``groups``, a label each, only pairs within a group count: the correlation with what defines the groups held
    fixed, which SciPy's has not. NaN where no pair is left. Raises as :func:`spearman` does.
    """
    first, second = (rankdata(values) for values in _pair(x, y))
    everyone = np.arange(first.size)
    labels = np.zeros(first.size) if groups is None else np.asarray(groups)
    signs = [np.sign(np.subtract.outer(ranks, ranks)) for ranks in (first, second)]
    tables = [one * other * np.equal.outer(labels, labels) for one, other in (signs, 2 * signs[:1], 2 * signs[1:])]

    def tau(drawn: NDArray[np.int64], axis: int) -> _Floats:
        times = (drawn[..., None] == everyone).sum(axis=axis - 1).astype(np.float64)  # how often each was drawn
        alike, apart, apart_too = (((times @ table) * times).sum(axis=axis) for table in tables)
        return np.asarray(alike / np.sqrt(apart * apart_too))

    return _estimate(tau, (everyone,), resamples)


def sign_agreement(x: ArrayLike, y: ArrayLike, resamples: int = RESAMPLES) -> Estimate:
    """The share of entries at which ``x`` and ``y`` have the same sign; a zero counts one half. NaN of fewer than two.

    Raises as :func:`spearman` does.
    """
    first, second = _pair(x, y)
    return _estimate(np.mean, ((1 + np.sign(first) * np.sign(second)) / 2,), resamples)


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[_Floats, _Floats]:
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"two rows of as many numbers are correlated, not {first.shape} and {second.shape}")
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("a value is not a number: leave its topology out")
    return first, second


def _estimate(statistic: Callable[..., Any], data: tuple[NDArray[Any], ...], resamples: int) -> Estimate:
    """The statistic over the last axis with its interval; samples for which it is not defined do not count."""
    size = data[0].size
    if size < 2:
        return Estimate(float("nan"), float("nan"), float("nan"))
    with warnings.catch_warnings(action="ignore"):  # of what is not defined, which is NaN
        value = float(statistic(*data, axis=-1))
        if np.isnan(value) or not resamples:
            return Estimate(value, float("nan"), float("nan"))
        samples = bootstrap(
            data,
            statistic,
            paired=True,
            vectorized=True,
            method="percentile",
            n_resamples=resamples,
            batch=100,  # for the sake of memory
            rng=generator(0, "bootstrap", size),
        ).bootstrap_distribution
        low, high = np.nanpercentile(samples, (2.5, 97.5))
    return Estimate(value, float(low), float(high))
