"""Recipes that name matrices of a user's own: what is refused in one line, and how often each counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evo.recipe import validate


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"targets": "none.npz"}, 'targets = "none.npz": there is no file'),
        ({"targets": 7}, "targets = 7"),
        ({"targets": "a.npz", "evaluator": "mine:Mine"}, "targets is for the evaluator"),
        ({"evaluator": "evaluators.training:TrainedAccuracy"}, r"needs a section \[training\]"),
        ({"fidelity": {"weight_decays": [0.1]}}, "reconstruction has no weight decay"),
        ({"places": {"sizes": [[32, 32], [32, 16]]}, "budget": 900}, "reconstruction is of one place"),
    ],
    ids=["no file", "a number", "another evaluator", "nothing to train on", "decay", "places"],
)
def test_own_targets_and_evaluators_that_do_not_fit_are_one_line(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        validate(values)


def test_no_matrix_counts_twice_as_a_target(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    file = tmp_path / "layers.npz"
    np.savez(file, **{f"layer{number}": draws.normal(size=(6, 5)) for number in range(12)})
    found = validate({"targets": str(file), "budget": 20}).fidelity
    assert [found.targets, found.race_targets, found.validation_targets, found.test_targets] == [6, 6, 3, 3]
    few = validate({"targets": str(file), "budget": 20, "fidelity": {"targets": 2}}).fidelity
    assert [few.targets, few.race_targets] == [2, 6]
    with pytest.raises(ValueError, match=r"fidelity.test_targets = 64: there are 3 matrices for test, each a target"):
        validate({"targets": str(file), "budget": 20, "fidelity": {"test_targets": 64}})
    alone = validate({"targets": f"{file}:layer3", "budget": 20}).fidelity
    assert (alone.targets, alone.test_targets) == (1, 8)  # random starts of the same matrix
