"""Numbers as people read them: the digits that mean something, an interval only where there is one."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.task import Score
from evo.report.numbers import difference, difference_and_ends, ratio, significant
from evo.storage.results import Finalist, Interval, final_table, interval
from topologies import butterfly


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.000391234, "0.0003912"),
        (0.0599, "0.05990"),
        (12.3456, "12.35"),
        (-12.3456, "-12.35"),
        (-0.0599, "-0.05990"),
        (0.0, "0"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (1.0, "1.000"),
        (123456.0, "123456"),
        (1.5e-9, "0.000000001500"),
        (1e-12, "1.000e-12"),
        (-2.34567e-300, "-2.346e-300"),
        (1.23456e15, "1.235e+15"),
        (-1e30, "-1.000e+30"),
        (None, ""),
    ],
)
def test_an_error_has_four_significant_digits(value: float | None, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.99996, "1.000"), (9.99996, "10.00"), (0.0099999, "0.01000"), (-0.99999, "-1.000")]
)
def test_a_number_that_is_rounded_up_to_a_power_of_ten_has_no_digit_more(value: float, text: str) -> None:
    assert significant(value) == text


def test_other_numbers_of_digits() -> None:
    assert [significant(0.0123456, digits) for digits in (1, 2, 6)] == ["0.01", "0.012", "0.0123456"]


@given(value=st.floats(-1e300, 1e300), digits=st.integers(1, 8))
def test_what_is_shown_is_the_number_to_its_digits(value: float, digits: int) -> None:
    assert float(significant(value, digits)) == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


@pytest.mark.parametrize(
    ("mean", "half_width", "text", "with_ends"),
    [
        (-0.0123456, 0.0056, "-0.0123 ± 0.0056", "-0.0123 (-0.0179 to -0.0067)"),
        (0.5, 0.0123, "+0.500 ± 0.012", "+0.500 (+0.488 to +0.512)"),
        (0.000021, 0.0000034, "+0.0000210 ± 0.0000034", "+0.0000210 (+0.0000176 to +0.0000244)"),
        (12.3456, 34.5, "+12 ± 34", "+12 (-22 to +47)"),
        (1234.5, 678.9, "+1234 ± 679", "+1234 (+556 to +1913)"),
    ],
)
def test_a_difference_shows_two_digits_of_its_half_width(
    mean: float, half_width: float, text: str, with_ends: str
) -> None:
    value = Interval(mean, mean - half_width, mean + half_width)
    assert (difference(value), difference_and_ends(value)) == (text, with_ends)


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.25, "-0.2500, deterministic"), (0.0004, "+0.0004000, deterministic"), (3.0, "+3.000, deterministic")],
)
def test_a_difference_without_uncertainty_says_so_and_shows_no_interval(value: float, text: str) -> None:
    found = interval(np.full(12, value))
    assert found.is_deterministic
    assert difference(found) == difference_and_ends(found) == text


def test_a_difference_of_a_single_value_is_not_certain() -> None:
    assert difference(interval(np.array([-0.25]))) == "-0.2500 ± unknown"
    assert difference_and_ends(interval(np.array([-0.25]))) == "-0.2500 ± unknown"


def test_no_difference_at_all_is_said_in_a_word() -> None:
    nothing = interval(np.zeros(12))
    assert difference(nothing) == difference_and_ends(nothing) == "equal"


@pytest.mark.parametrize(
    ("errors", "text"),
    [
        (np.full(12, 0.3), "+0.1000, deterministic"),
        (0.2 + np.resize([0, 3e-17], 12), "equal"),
        (0.3 + np.resize([0, 6e-17], 12), "+0.1000, deterministic"),
    ],
)
def test_differences_that_are_equal_but_for_rounding_are_no_sample(errors: np.ndarray, text: str) -> None:
    one, other = (Finalist("", butterfly(4, 2)) for _ in range(2))
    scores = [("shifted", one, Score(errors)), ("base", other, Score(np.full(12, 0.2)))]
    shifted, base = final_table(scores, "base").rows
    assert shifted.difference == shifted.minus(base)
    assert difference(shifted.minus(base)) == difference_and_ends(shifted.minus(base)) == text


def test_equal_differences_of_errors_that_vary_are_a_sample() -> None:
    errors = np.random.default_rng(0).integers(0, 9, 3).astype(float)
    one, other = (Finalist("", butterfly(4, 2)) for _ in range(2))
    shifted, base = final_table([("shifted", one, Score(errors + 1)), ("base", other, Score(errors))], "base").rows
    assert not shifted.minus(base).is_deterministic and shifted.minus(base).low < 0


def test_intervals_of_samples_are_told_with_few_digits() -> None:
    told = difference(interval(np.random.default_rng(1).normal(0.1, 0.03, 12)))
    assert re.fullmatch(r"\+0\.\d{3} ± 0\.\d{3}", told)


def test_a_ratio_of_negative_errors_is_less_than_one_where_the_error_is_less() -> None:
    assert ratio(-0.84, -0.8) == pytest.approx(0.95) and ratio(-0.76, -0.8) == pytest.approx(1.05)


def test_a_ratio_to_nothing_is_none() -> None:
    assert ratio(0.3, 0.0) is None and ratio(0.0, 0.0) is None
    assert (ratio(0.0, 0.5), ratio(0.3, 0.6), ratio(-1.0, 2.0)) == (0.0, 0.5, -0.5)
