"""What an evaluator is asked and answers: scores of whatever holds numbers, and races."""

from __future__ import annotations

import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from evaluators.task import Fidelity, Race, Score

F32 = float(np.float32(0.1))

ACCEPTED: dict[str, tuple[Any, tuple[float, ...]]] = {
    "a tuple": ((0.1, 0.2), (0.1, 0.2)),
    "a list": ([0.1, 1], (0.1, 1.0)),
    "an array": (np.array([0.1, 0.2]), (0.1, 0.2)),
    "an array of singles": (np.array([0.1, 0.5], dtype=np.float32), (F32, 0.5)),
    "a list of singles": ([np.float32(0.1), np.float32(0.5)], (F32, 0.5)),
    "an array of integers": (np.arange(2), (0.0, 1.0)),
    "a tensor": (torch.tensor([0.1, 0.2], dtype=torch.float64), (0.1, 0.2)),
    "a tensor of singles with gradients": (torch.tensor([0.1, 0.5], requires_grad=True), (F32, 0.5)),
    "a list of tensors with gradients": ([torch.tensor(0.1, requires_grad=True), torch.tensor(0.5)], (F32, 0.5)),
    "not a number": ([math.nan, math.inf], (math.nan, math.inf)),
}
REFUSED: dict[str, Any] = {
    "one float": 0.5,
    "one single": np.float32(0.5),
    "an array without dimensions": np.array(0.5),
    "a tensor without dimensions": torch.tensor(0.5),
    "none": None,
    "an empty tuple": (),
    "an empty array": np.zeros(0),
    "an empty tensor": torch.zeros(0),
    "text": "0.5",
    "a word": "low",
    "digits": "12",
    "bytes": b"12",
    "a list of words": ["low", "high"],
    "an array of two dimensions": np.ones((2, 3)),
    "a tensor of two dimensions": torch.ones((2, 3)),
    "scores": [Score((0.5,))],
    "a list with none in it": [0.5, None],
}


@pytest.mark.parametrize(("given", "errors"), ACCEPTED.values(), ids=ACCEPTED)
def test_errors_may_be_any_sequence_of_numbers(given: Any, errors: tuple[float, ...]) -> None:
    score = Score(given)
    assert type(score.errors) is tuple and {type(error) for error in score.errors} == {float}
    np.testing.assert_array_equal(score.errors, errors)
    assert repr(pickle.loads(pickle.dumps(score))) == repr(score)


def test_a_tensor_with_gradients_is_taken_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Score(torch.tensor([0.25, 0.5], requires_grad=True)).errors == (0.25, 0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", REFUSED.values(), ids=REFUSED)
def test_errors_that_are_no_sequence_of_numbers_are_refused_by_name(given: Any) -> None:
    with pytest.raises(ValueError, match=r"^errors ") as refused:
        Score(given)
    assert str(refused.value).endswith(": a sequence of numbers is wanted, one a target")


@pytest.mark.parametrize("rate", [0.1, np.float32(0.25), torch.tensor(0.25, requires_grad=True)], ids=type)
def test_a_learning_rate_may_be_any_number(rate: Any) -> None:
    score = Score((0.5,), rate)
    assert type(score.learning_rate) is float and score.learning_rate == float(rate)


@pytest.mark.parametrize("rate", ["fast", [0.1], (), 0.0, -0.1, math.nan, math.inf], ids=repr)
def test_a_learning_rate_with_which_nothing_could_be_trained_is_refused_by_name(rate: Any) -> None:
    with pytest.raises(ValueError, match=r"^learning_rate = "):
        Score((0.5,), rate)


def test_a_promoted_fidelity_has_more_targets_and_the_rate_that_was_chosen() -> None:
    fidelity = Fidelity(2, 7, (0.1, 0.3))
    assert fidelity.promoted(16, Score((1.0,), 0.3)) == Fidelity(16, 7, (0.3,))
    assert fidelity.promoted(16, Score((1.0,))) == fidelity.promoted(16) == Fidelity(16, 7, (0.1, 0.3))


@pytest.mark.parametrize("error", [0.2, 0.3, math.inf, math.nan])
def test_a_race_promotes_what_is_below_its_threshold_and_without_one_all_that_is_finite(error: float) -> None:
    score = Score((error,))
    assert Race(0.3, 16).promotes(score) == (error == 0.2)
    assert Race(None, 16).promotes(score) == math.isfinite(error)
