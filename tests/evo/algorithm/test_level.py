"""Errors on few targets and on many: what they say together is what they would say on the same targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from evo.algorithm.level import BEST, harder_by, levelled

HARD = np.array([0.3, 0.1, 0.0, 0.05, 0.2, 0.4])
"""How much harder than the easiest each target is."""


def errors(worth: float, targets: int) -> tuple[float, ...]:
    """Of a topology that is worth so much on the easiest target."""
    return tuple((worth + HARD[:targets]).tolist())


@pytest.mark.parametrize("few", [1, 2, 5])
def test_where_targets_differ_by_how_hard_they_are_means_become_those_over_all(few: int) -> None:
    worths = [0.5, 0.1, 0.9, 0.3]
    found = [errors(worth, len(HARD) if place % 2 else few) for place, worth in enumerate(worths)]
    assert levelled(found) == pytest.approx([worth + HARD.mean() for worth in worths])


def test_candidates_are_not_preferred_for_easy_targets() -> None:
    promoted, better, worse = errors(0.5, 6), errors(0.49, 3), errors(0.51, 3)
    assert np.mean(worse) < np.mean(promoted), "as they are even the worse one looks better"
    level = levelled([promoted, better, worse])
    assert level[1] < level[0] < level[2]


def test_only_the_best_of_the_promoted_say_how_hard_targets_are() -> None:
    best = [errors(0.01 * place, 6) for place in range(BEST)]
    hopeless = [tuple(10.0 * (1 + target) for target in range(6))] * 5
    assert levelled([*best, *hopeless, errors(0.2, 2)])[-1] == pytest.approx(0.2 + HARD.mean())


def test_equal_numbers_of_targets_are_left_alone_and_failures_stay_infinite() -> None:
    found: Sequence[tuple[float, ...]] = [(0.25, 0.75), (), (-3.0, 1.0)]
    assert levelled(found) == [0.5, float("inf"), -1.0]
    assert levelled([]) == []
    assert levelled([()]) == [float("inf")]


def test_by_how_much_all_targets_are_harder() -> None:
    assert harder_by([errors(0.5, 6), errors(0.1, 6)], 2) == pytest.approx(HARD.mean() - HARD[:2].mean())
    assert harder_by([errors(0.5, 6)], 6) == 0.0
