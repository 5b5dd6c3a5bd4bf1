"""How far means can be trusted: against formulas written out, and against simulations of what they are for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from evo.storage.estimates import Estimate, estimate, holm

Draw = Callable[[np.random.Generator], NDArray[np.float64]]


def crossed(of_seeds: float, of_examples: float, of_both: float, seeds: int = 5, examples: int = 80) -> Draw:
    """Differences of mean 0 whose seeds, examples and rest have these standard deviations."""
    return lambda draw: (
        of_seeds * draw.normal(size=(seeds, 1))
        + of_examples * draw.normal(size=examples)
        + of_both * draw.normal(size=(seeds, examples))
    )


def covered(draw: Draw, with_examples: bool, times: int = 1500) -> float:
    """How often the 95 % interval holds the truth."""
    generator, hits = np.random.default_rng(1), 0
    for _ in range(times):
        found = draw(generator)
        one = estimate(found.mean(axis=1), found if with_examples else None)
        hits += abs(one.mean) <= one.half_width
    return hits / times


@pytest.mark.parametrize("parts", [(0.1, 1, 1), (0, 1, 0.1), (0, 1, 1), (0.3, 0.2, 1), (0.1, 0, 1), (1, 1, 1)], ids=str)
def test_the_interval_covers_whatever_errors_depend_on(parts: tuple[float, float, float]) -> None:
    assert covered(crossed(*parts), with_examples=True) >= 0.93


def test_the_interval_over_seeds_alone_does_not_cover_where_examples_differ() -> None:
    assert covered(crossed(0.02, 1, 0.2), with_examples=False) < 0.6
    assert covered(crossed(0.02, 1, 0.2), with_examples=True) == pytest.approx(0.95, abs=0.025)


def test_the_interval_covers_the_difference_of_two_classifiers() -> None:
    """Errors of 10 and 11 %, of which most are on the same hard examples; the examples are drawn anew every time."""
    generator, hits = np.random.default_rng(2), 0
    for _ in range(800):
        hard = generator.beta(0.2, 1.7, size=400)
        worse = np.clip(hard * 1.1, 0, 1)
        one, two = (generator.random((5, 400)) < rate for rate in (hard, worse))
        difference = one.astype(float) - two.astype(float)
        found = estimate(difference.mean(axis=1), difference)
        hits += abs(found.mean + 0.1 * 0.2 / 1.9 - 0.0) <= found.half_width + 1e-3
    assert hits / 800 >= 0.93


def test_the_variance_is_that_of_the_analysis_of_variance() -> None:
    found = np.random.default_rng(3).normal(size=(4, 6)) + np.arange(6) + 0.5 * np.arange(4)[:, None]
    seeds, examples = found.shape
    rows, columns, all_of_it = found.mean(axis=1), found.mean(axis=0), found.mean()
    of_seeds = examples * sum((row - all_of_it) ** 2 for row in rows) / (seeds - 1)
    of_examples = seeds * sum((column - all_of_it) ** 2 for column in columns) / (examples - 1)
    rest = sum((found[i, j] - rows[i] - columns[j] + all_of_it) ** 2 for i in range(seeds) for j in range(examples)) / (
        (seeds - 1) * (examples - 1)
    )
    one = estimate(rows, found)
    assert one.mean == pytest.approx(all_of_it)
    assert one.variance == pytest.approx((of_seeds + of_examples - rest) / found.size)
    squares = of_seeds**2 / 3 + of_examples**2 / 5 + rest**2 / 15
    assert one.degrees == pytest.approx((of_seeds + of_examples - rest) ** 2 / squares)


def test_targets_alone_are_students() -> None:
    values = np.array([0.1, 0.4, 0.2, 0.3])
    test = stats.ttest_1samp(values, 0.0)
    one = estimate(values)
    assert one.p_value == pytest.approx(test.pvalue)
    assert one.half_width == pytest.approx(one.mean - test.confidence_interval(0.95).low)


def test_folds_are_wider_than_independent_trainings_by_the_corrected_factor() -> None:
    values = np.array([0.1, 0.4, 0.2, 0.3, 0.25])
    folds, independent = estimate(values, is_cross_validation=True), estimate(values)
    assert folds.variance == pytest.approx(independent.variance * (1 + 5 / 4))
    assert folds.mean == independent.mean and folds.degrees == 4


def test_what_never_differs_has_no_uncertainty() -> None:
    assert estimate(np.full(5, 0.1), np.full((5, 9), 0.1)) == Estimate(0.1, 0.0, 1.0)
    assert Estimate(0.1, 0.0, 1.0).p_value == 0 and Estimate(0.0, 0.0, 1.0).p_value == 1
    only_examples = np.tile(np.arange(9.0), (5, 1))
    assert estimate(only_examples.mean(axis=1), only_examples).half_width > 1


def test_a_single_training_is_as_uncertain_as_its_examples_and_a_single_target_proves_nothing() -> None:
    wrong = np.random.default_rng(4).random((1, 359)) < 0.3
    one, student = estimate(wrong.mean(axis=1), wrong.astype(float)), stats.ttest_1samp(wrong[0].astype(float), 0.0)
    assert one.half_width == pytest.approx(one.mean - student.confidence_interval(0.95).low)
    for examples, is_cross_validation in ((None, False), (None, True), (np.array([[0.7]]), False)):
        unknown = estimate(np.array([0.7]), examples, is_cross_validation)
        assert (unknown.mean, unknown.half_width, unknown.p_value) == (0.7, np.inf, 1)


def test_holm_holds_what_holds_together() -> None:
    """Holm's own example: three of four comparisons would hold alone."""
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == {"a", "d"}
    assert holm({"a": 0.05}) == {"a"} and holm({"a": 0.03, "b": 0.03}) == set() and holm({}) == set()


def test_coarse_errors_that_are_equally_far_apart_by_chance_prove_nothing() -> None:
    """Two that are as good as each other, with 20 examples a target and a few targets."""
    draw, false = np.random.default_rng(0), 0
    for _ in range(2000):
        one, other = (draw.binomial(20, 0.3, size=2).astype(float) for _ in range(2))
        varies = max(np.ptp(one), np.ptp(other)) > 0
        false += bool(varies and estimate(one - other, varies=True).p_value < 0.05 / 13)
    assert false <= 0.01 * 2000
    assert estimate(np.full(128, 0.1), varies=True).p_value < 1e-9
    assert estimate(np.zeros(5), varies=True).half_width == 0


def test_folds_that_are_equal_by_chance_prove_nothing() -> None:
    for folds in (2, 5, 10):
        found = estimate(np.full(folds, -0.02), is_cross_validation=True)
        assert found.mean == -0.02 and found.p_value > 0.05 and found.half_width > 0.02
    assert estimate(np.zeros(5), is_cross_validation=True).half_width == 0
    assert estimate(np.full(5, -0.02)).p_value == 0
