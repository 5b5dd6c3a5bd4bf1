"""Numbers as people read them: as many digits as mean something, never more and never fewer."""

from __future__ import annotations

from math import isfinite

from evo.storage.results import Interval

DIGITS = 4
"""Significant digits of an error."""


def significant(value: float | None, digits: int = DIGITS) -> str:
    """A number with so many significant digits and no exponent unless it is extreme; nothing for None."""
    if value is None:
        return ""
    if value == 0 or not isfinite(value):
        return f"{value:g}"
    if not 1e-9 < abs(value) < 1e9:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{_decimals(value, digits)}f}"


def difference(value: Interval) -> str:
    """A difference with the half width of its interval, which decides how many digits there are."""
    mean = _signed(value.mean, _decimals(value.mean, DIGITS))
    if value.is_deterministic:
        return f"{mean}, deterministic" if value.mean else "equal"
    if value.is_unknown:
        return f"{mean} ± unknown"
    decimals = _decimals(value.half_width, 2)
    return f"{_signed(value.mean, decimals)} ± {value.half_width:.{decimals}f}"


def difference_and_ends(value: Interval) -> str:
    """A difference with the ends of its interval."""
    if value.is_deterministic or value.is_unknown:
        return difference(value)
    decimals = _decimals(value.half_width, 2)
    ends = f"{_signed(value.low, decimals)} to {_signed(value.high, decimals)}"
    return f"{_signed(value.mean, decimals)} ({ends})"


def ratio(value: float, reference: float) -> float | None:
    """An error over a reference, less than 1 where it is better; None where the reference is zero.

    Errors of a user's own may be negative, as minus an accuracy is: then it is 1 and the change in shares of the
    reference's size.
    """
    if not reference:
        return None
    return value / reference if reference > 0 else 1 + (value - reference) / -reference


def _decimals(value: float, digits: int) -> int:
    """Decimals that show so many significant digits of a value."""
    if not value or not isfinite(value):
        return 0
    exponent = int(f"{abs(value):.{digits - 1}e}".partition("e")[2])  # of the number as it is rounded
    return max(0, digits - 1 - exponent)


def _signed(value: float, decimals: int) -> str:
    return f"{value:+.{decimals}f}"
