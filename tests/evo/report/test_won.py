"""What a champion saves: the edges that a family would need by its own curve."""

from __future__ import annotations

import math

import pytest

from evaluators.task import Score
from evo.report.won import edges_for, won_in_words
from evo.storage.history import History
from evo.storage.names import EVOLVED, PARALLEL_BUTTERFLY, tuning
from evo.storage.records import ScoreRecord
from tests.evo.histories import with_test_errors

CURVE = [(edges, math.exp(-edges / 100)) for edges in (100, 200, 300, 400)]
"""A family whose error falls by e for every hundred edges."""


@pytest.mark.parametrize("times", [0.2, 0.9, 1.0, 1.5])
def test_on_an_exponential_curve_the_answer_is_exact(times: float) -> None:
    assert edges_for(CURVE, times) == pytest.approx(400 - 100 * math.log(times))


def test_members_that_are_worse_than_smaller_ones_or_far_smaller_do_not_count() -> None:
    assert edges_for([*CURVE, (350, 0.9), (250, 0.5)], 0.5) == pytest.approx(400 + 100 * math.log(2))
    assert edges_for([(10, 0.9), *CURVE[1:]], 0.5) == pytest.approx(400 + 100 * math.log(2))


def test_of_equal_edges_the_best_member_counts() -> None:
    assert edges_for([*CURVE, (400, 0.5), (300, 0.7)], 0.5) == pytest.approx(400 + 100 * math.log(2))


@pytest.mark.parametrize("curve", [[], CURVE[:1], [(100, -1.0), (200, -2.0)], [(100, 0.5), (900, 0.1)]])
def test_where_too_little_is_known_nothing_is_said(curve: list[tuple[int, float]]) -> None:
    assert edges_for(curve, 0.5) is None


def test_the_report_says_multiply_accumulates_and_depth_and_edges_only_where_some_are_saved(finished: History) -> None:
    family = tuning(PARALLEL_BUTTERFLY)  # of which more edges are to be better
    records = [
        one.model_copy(update={"score": Score((math.exp(-one.n_trainable / 100),))})
        if isinstance(one, ScoreRecord) and one.phase == family
        else one
        for one in finished.records
    ]
    exponential = History(finished.folder, tuple(records))
    assert finished.table is not None
    for factor, needed in ((0.5, 40 + 100 * math.log(2)), (1.5, None)):
        errors = {EVOLVED: [factor * one for one in finished.table.baseline.errors]}
        history = with_test_errors(exponential, errors)
        assert history.table is not None
        told = won_in_words(history, history.table)
        assert told.startswith(f"It takes {history.table.first.topology.n_edges} multiply-accumulates an example")
        assert ("trainable edges for this error" in told) == (needed is not None)
        assert needed is None or f"about {needed:.0f} trainable edges for this error: {needed - 40:.0f} more." in told
