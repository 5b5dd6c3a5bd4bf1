"""How to speak of what an evaluator finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from evo.own_data import RECONSTRUCTION, TRAINING

_MEANINGS: Mapping[str | None, str] = {
    "classification": "the share of wrong answers",
    "regression": "the share of the variance that is not explained",
}
"""What the error of a trained model is, by what y is."""


class Words(NamedTuple):
    """What errors are called and, where the name does not tell, what they are; of what the final table has one error
    each; and what steps are.
    """

    error: str
    meaning: str = ""
    tested: str = "test targets"
    steps: str = "steps"

    @property
    def explained(self) -> str:
        """The errors' name with what they are."""
        return f"{self.error} ({self.meaning})" if self.meaning else self.error


def words_of(evaluator: str, settings: Mapping[str, Any]) -> Words:
    """How to speak of what an evaluator finds in a run of a recipe, of which the plain values are given."""
    found = settings.get("found") or {}
    if evaluator == TRAINING:
        tested = "folds" if (settings.get("training") or {}).get("folds") else "test trainings"
        return Words(error_name(evaluator), _MEANINGS.get(found.get("task"), ""), tested, "epochs")
    if evaluator == RECONSTRUCTION and found.get("test_matrices") == 1:
        return Words(error_name(evaluator), tested="random starts")
    return Words(error_name(evaluator))


def error_name(evaluator: str) -> str:
    """What an evaluator's errors are: relative errors of reconstruction, or whatever another one gives."""
    known = {RECONSTRUCTION: "relative error", TRAINING: "error of trained models"}
    return known.get(evaluator, f"error by {evaluator.partition(':')[2]}")
