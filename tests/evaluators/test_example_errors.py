"""Errors of examples as text: what comes back is what was packed, and of right and wrong it is little."""

from __future__ import annotations

import numpy as np
import pytest

from evaluators.example_errors import pack, unpack


def test_right_and_wrong_come_back_to_the_last_bit_and_take_little_room() -> None:
    errors = (np.random.default_rng(0).random((5, 10_000)) < 0.05).astype(float)
    text = pack(errors)
    assert np.array_equal(unpack(text), errors) and unpack(text).dtype == np.float64
    assert len(text) < 25_000 and text.isascii() and "\n" not in text


def test_other_errors_come_back_to_three_digits() -> None:
    errors = np.random.default_rng(0).gamma(0.3, 2.0, size=(3, 400))
    assert unpack(pack(errors)) == pytest.approx(errors, rel=2e-3, abs=1e-6)
    assert unpack(pack(np.array([[1e30, 0.5]])))[0, 0] > 6e4
