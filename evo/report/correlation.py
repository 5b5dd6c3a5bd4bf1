"""Rank correlations of scores with errors, with bootstrap intervals over topologies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from evaluators.rng import generator

RESAMPLES = 1000
"""Bootstrap samples, drawn with a key of their own: the same for all scores of as many topologies."""

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
    first, second = _ranks(x, y)
    drawn = _drawn(first.size, resamples)
    return _estimate(_pearson(first, second), _pearson(rankdata(first[drawn], axis=1), rankdata(second[drawn], axis=1)))


def kendall(x: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None, resamples: int = RESAMPLES) -> Estimate:
    """Kendall's tau-b: pairs ordered alike less pairs ordered otherwise, over the geometric mean of those not tied.

    With ``groups``, a label each, only pairs within a group count: the correlation with what defines the groups held
    fixed. NaN where no pair is left. Raises as :func:`spearman` does.
    """
    first, second = _ranks(x, y)
    pairs = np.ones((first.size, first.size)) if groups is None else _equal(np.asarray(groups)).astype(np.float64)
    signs = [np.sign(np.subtract.outer(ranks, ranks)) for ranks in (first, second)]
    tables = [signs[0] * signs[1] * pairs, signs[0] ** 2 * pairs, signs[1] ** 2 * pairs]

    def tau(times: _Floats) -> _Floats:
        """Tau where each topology occurs so often; ``times`` has shape ``(samples, topologies)``."""
        alike, apart, apart_too = (np.einsum("si,ij,sj->s", times, table, times, optimize=True) for table in tables)
        return _divided(alike, np.sqrt(apart * apart_too))

    return _estimate(tau(np.ones((1, first.size)))[0], tau(_times(first.size, resamples)))


def sign_agreement(x: ArrayLike, y: ArrayLike, resamples: int = RESAMPLES) -> Estimate:
    """The share of entries at which ``x`` and ``y`` have the same sign; a zero counts one half. NaN of no entries.

    Raises as :func:`spearman` does.
    """
    first, second = _pair(x, y)
    right = (1 + np.sign(first) * np.sign(second)) / 2
    if not right.size:
        return Estimate(np.nan, np.nan, np.nan)
    return _estimate(right.mean(), right[_drawn(right.size, resamples)].mean(axis=1))


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[_Floats, _Floats]:
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"two rows of as many numbers are correlated, not {first.shape} and {second.shape}")
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("a value is not a number: leave its topology out")
    return first, second


def _ranks(x: ArrayLike, y: ArrayLike) -> tuple[_Floats, _Floats]:
    first, second = _pair(x, y)
    return rankdata(first), rankdata(second)


def _equal(labels: NDArray[np.generic]) -> NDArray[np.bool_]:
    return np.asarray(labels[:, None] == labels[None, :])


def _pearson(x: _Floats, y: _Floats) -> _Floats:
    """Pearson's correlation over the last axis."""
    x, y = (one - one.mean(axis=-1, keepdims=True) for one in (x, y))
    return _divided((x * y).sum(axis=-1), np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1)))


def _divided(numerators: _Floats, denominators: _Floats) -> _Floats:
    """The quotients, NaN for divisions by zero."""
    return np.asarray(np.divide(numerators, denominators, out=np.full_like(numerators, np.nan), where=denominators > 0))


def _drawn(size: int, resamples: int) -> NDArray[np.int64]:
    """Which topologies each bootstrap sample holds, shape ``(resamples, size)``."""
    return generator(0, "bootstrap", size).integers(size, size=(resamples, size))


def _times(size: int, resamples: int) -> _Floats:
    """How often each bootstrap sample holds each topology, shape ``(resamples, size)``; see :func:`_drawn`."""
    drawn = _drawn(size, resamples) + size * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size).astype(np.float64)


def _estimate(value: float | _Floats, samples: _Floats) -> Estimate:
    """The value with the 2.5 % and 97.5 % percentiles of the samples; samples that are not defined do not count."""
    defined = samples[~np.isnan(samples)]
    if np.isnan(value) or not defined.size:
        return Estimate(float(value), np.nan, np.nan)
    low, high = np.percentile(defined, (2.5, 97.5))
    return Estimate(float(value), float(low), float(high))
