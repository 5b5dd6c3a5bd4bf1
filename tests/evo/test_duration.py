"""What is said of how long a search takes."""

from __future__ import annotations

import re

import pytest

from evo.console.duration import LONG, advice, duration
from evo.recipe import overridden, validate

DIGITS = {"training": {"data": "digits", "hidden": [16, 16]}, "budget": 300}


def test_times_are_in_the_unit_that_suits_them() -> None:
    assert [duration(seconds) for seconds in (30, 600, 5 * 3600, 5 * 86400)] == [
        "0.5 minutes", "10.0 minutes", "5.0 hours", "5.0 days",
    ]  # fmt: skip


def test_a_short_search_needs_no_advice() -> None:
    assert advice(LONG - 1, validate({})) is None


@pytest.mark.parametrize("values", [{}, DIGITS], ids=["reconstruction", "data"])
def test_every_setting_that_is_advised_is_less_and_can_be_set(values: dict[str, object]) -> None:
    settings = validate(values)
    told = advice(LONG, settings)
    assert told
    asked = re.findall(r"--set (\S+)", told)
    shorter = validate(overridden(values, asked))
    assert len(asked) == 4
    assert shorter.loop.generations < settings.loop.generations and shorter.tuning.trials < settings.tuning.trials
    assert shorter.fidelity.steps < settings.fidelity.steps and shorter.fidelity.finalists < settings.fidelity.finalists


def test_nothing_is_advised_that_is_least_already() -> None:
    least = ["loop.generations=1", "tuning.trials=1", "fidelity.finalists=1", "fidelity.steps=2"]
    told = advice(LONG, validate(overridden(DIGITS, least)))
    assert told and "--set" not in told and "--ray-address" not in told and "More cores" in told
