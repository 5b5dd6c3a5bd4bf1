"""Test errors example by example, and cross-validation: everything is tested once by which nothing was chosen."""

from __future__ import annotations

import numpy as np
import pytest

from evaluators import Fidelity, Split
from evaluators.example_errors import unpack
from evaluators.training import Data, TrainedAccuracy
from evaluators.training.folds import fold_of
from tests.evaluators.training.examples import blobs, easy
from topologies import butterfly, dense

BRIEF = Fidelity(3, 2, (0.02,))


def numbered(examples: int) -> Data:
    """Examples whose inputs tell them apart."""
    return Data.of(np.stack([np.arange(examples), np.arange(examples) % 7], axis=1), np.arange(examples) % 3)


def rows(x: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in x}


@pytest.mark.parametrize("folds", [2, 5])
def test_every_example_by_which_nothing_was_chosen_is_tested_once(folds: int) -> None:
    data = numbered(500)
    tested = [rows(fold_of(data, folds, index)[1].x) for index in range(folds)]
    wanted = rows(data.train.x) | rows(data.test.x)
    assert set.union(*tested) == wanted and sum(map(len, tested)) == len(wanted)
    assert max(map(len, tested)) - min(map(len, tested)) <= 1
    for index in range(folds):
        trained, part = fold_of(data, folds, index)
        assert not rows(trained.x) & tested[index]
        assert rows(trained.x) >= rows(data.search.x) | rows(data.validation.x)
        assert len(trained) + len(part) == 500 and len(trained.y) == len(trained.x)
    with pytest.raises(ValueError, match=f"there are {folds} folds"):
        fold_of(data, folds, folds)


def test_errors_over_folds_are_of_the_folds_and_other_splits_stay_as_they_are() -> None:
    x, y = blobs(classes=5)
    data = Data.of(x, y)
    folded, usual = TrainedAccuracy(data, [8], folds=3), TrainedAccuracy(data, [8])
    assert folded.identity != usual.identity
    for split in (Split.SEARCH, Split.VALIDATION):
        found = [one.evaluate(butterfly(8, 3), BRIEF, split, 0) for one in (folded, usual)]
        assert found[0] == found[1] and found[0].example_errors is None
    score = folded.evaluate(butterfly(8, 3), BRIEF, Split.TEST, 0)
    assert score == folded.evaluate(butterfly(8, 3), BRIEF, Split.TEST, 0) and score.example_errors is None
    counts = [error * len(fold_of(data, 3, index)[1]) for index, error in enumerate(score.errors)]
    assert counts == pytest.approx(np.round(counts))


def test_rates_are_chosen_before_folds_are_trained() -> None:
    folded = TrainedAccuracy(easy(), [8], folds=3)
    several = Fidelity(3, 3, (1e-6, 0.03))
    score = folded.evaluate(dense(8, 8), several, Split.TEST, 0)
    assert score.learning_rate == 0.03 and len(score.errors) == 3
    assert score == folded.evaluate(dense(8, 8), Fidelity(3, 3, (0.03,)), Split.TEST, 0)


@pytest.mark.parametrize("folds", [1, 21])
def test_folds_that_make_no_sense_are_refused(folds: int) -> None:
    with pytest.raises(ValueError, match=f"folds = {folds}: from 2 to 20"):
        TrainedAccuracy(easy(), [8], folds=folds)


def test_a_test_score_has_the_error_of_every_example_in_every_training() -> None:
    score = TrainedAccuracy(easy(classes=6), [8]).evaluate(butterfly(8, 3), BRIEF, Split.TEST, 0)
    assert score.example_errors is not None
    found = unpack(score.example_errors)
    assert found.shape == (3, 80) and set(np.unique(found)) <= {0.0, 1.0}
    assert found.mean(axis=1) == pytest.approx(score.errors)
    assert "example_errors" not in repr(score)


def test_of_quantities_it_is_a_share_of_the_variance() -> None:
    x, _ = blobs(600)
    task = TrainedAccuracy(Data.of(x, x @ np.arange(16).reshape(8, 2) + 0.5), [8])
    for rate in (0.01, 1e20):
        score = task.evaluate(butterfly(8, 3), Fidelity(2, 2, (rate,)), Split.TEST, 0)
        assert score.example_errors is not None
        assert unpack(score.example_errors).mean(axis=1) == pytest.approx(score.errors, rel=2e-3)
