"""Rank correlations against closed cases and scipy, and intervals that cover what they should."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evo.report.correlation import Estimate, kendall, sign_agreement, spearman

few = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12)


def test_order_and_reverse_order_are_the_ends() -> None:
    x = [1.0, 2.0, 5.0, 9.0]
    for correlation in (spearman, kendall):
        assert correlation(x, np.exp(x)).value == pytest.approx(1)
        assert correlation(x, [-one for one in x]).value == pytest.approx(-1)


def test_infinities_are_ranked() -> None:
    worst = [0.1, 0.2, 0.3, np.inf]
    assert spearman([1, 2, 3, 4], worst).value == pytest.approx(1)
    assert kendall([-np.inf, 2, 3, np.inf], worst).value == pytest.approx(1)
    assert kendall([1, 2, np.inf, np.inf], [1, 2, 3, 4]).value == pytest.approx(5 / np.sqrt(5 * 6))  # one pair tied


def test_values_that_are_all_equal_have_no_correlation() -> None:
    for correlation in (spearman, kendall):
        found = correlation([1, 1, 1], [1, 2, 3])
        assert np.isnan([found.value, found.low, found.high]).all()


@settings(max_examples=50, deadline=None)
@given(pairs=few)
def test_values_are_those_of_scipy_ties_included(pairs: list[tuple[int, int]]) -> None:
    x, y = (list(column) for column in zip(*pairs, strict=True))
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan(spearman(x, y, resamples=0).value)
        return
    assert spearman(x, y, resamples=0).value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert kendall(x, y, resamples=0).value == pytest.approx(stats.kendalltau(x, y).statistic)


def test_within_groups_only_pairs_of_one_group_count() -> None:
    x, y = [1, 2, 11, 12], [20, 10, 40, 30]  # upwards between the groups, downwards in each
    assert kendall(x, y).value == pytest.approx((4 - 2) / 6)
    assert kendall(x, y, groups=["a", "a", "b", "b"]).value == pytest.approx(-1)
    assert np.isnan(kendall(x, y, groups=["a", "b", "c", "d"]).value)


def test_a_score_that_only_tells_groups_apart_has_nothing_to_say_within_them() -> None:
    draw = np.random.default_rng(1)
    groups = draw.integers(0, 4, 80)
    errors = groups + draw.normal(0, 0.3, 80)
    noise = groups + draw.normal(0, 0.3, 80)
    assert kendall(noise, errors).low > 0.5
    within = kendall(noise, errors, groups)
    assert within.low < 0 < within.high


def test_signs_that_agree_are_counted_and_a_zero_is_a_half() -> None:
    assert sign_agreement([1, -2, 3, 0], [5, -1, -1, 2]).value == pytest.approx(2.5 / 4)
    assert sign_agreement([1, 2, 3], [1, 1, 1]) == Estimate(1, 1, 1)


@pytest.mark.parametrize("statistic", [spearman, kendall, sign_agreement])
def test_of_fewer_than_two_nothing_is_said(statistic: Callable[..., Estimate]) -> None:
    for few in ([], [1.0]):
        assert np.isnan(statistic(few, few).value)


def test_samples_that_have_no_correlation_do_not_count_and_nobody_is_warned() -> None:
    with warnings.catch_warnings(action="error"):
        found = spearman([1, 2, 2], [1, 2, 3])  # many samples of three are of one value only
    assert found.value == pytest.approx(np.sqrt(3) / 2)
    assert (found.low, found.high) == pytest.approx((np.sqrt(3) / 2, 1))


@pytest.mark.parametrize("correlation", [spearman, kendall])
def test_intervals_cover_the_truth_about_as_often_as_they_say(correlation: Callable[..., Estimate]) -> None:
    draw, truth = np.random.default_rng(2), 0.6
    exact = {
        spearman: 6 / np.pi * np.arcsin(truth / 2),  # of a bivariate normal distribution
        kendall: 2 / np.pi * np.arcsin(truth),
    }[correlation]
    covered = 0
    for _ in range(60):
        x = draw.normal(size=60)
        y = truth * x + np.sqrt(1 - truth**2) * draw.normal(size=60)
        found = correlation(x, y, resamples=300)
        assert found.low <= found.value <= found.high
        covered += found.low <= exact <= found.high
    assert covered >= 50  # of 60; 57 are expected, and 50 or fewer once in a thousand times


def test_intervals_are_the_same_every_time_and_narrow_with_more_topologies() -> None:
    draw = np.random.default_rng(3)
    x = draw.normal(size=400)
    y = x + draw.normal(size=400)
    assert spearman(x, y) == spearman(x, y)
    wide, narrow = spearman(x[:40], y[:40]), spearman(x, y)
    assert narrow.high - narrow.low < 0.6 * (wide.high - wide.low)


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2, 3]), ([1, np.nan], [1, 2]), ([[1, 2]], [[1, 2]])])
def test_what_cannot_be_paired_is_refused(x: list[float], y: list[float]) -> None:
    with pytest.raises(ValueError, match=r"as many numbers|not a number"):
        spearman(x, y)
