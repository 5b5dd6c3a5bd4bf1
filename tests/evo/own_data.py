"""Searches on small data, for the tests of what is searched on data of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evo.recipe import validate
from evo.settings import Settings
from tests.evaluators.training.examples import blobs

SMALL: dict[str, Any] = {
    "seed": 3,
    "budget": 24,
    "loop": {"generations": 2, "offspring": 4, "population": 4},
    "tuning": {"trials": 2},
    "cluster": {"pool": "in-process"},
}
EPOCHS: dict[str, Any] = {
    "steps": 2, "rates": [0.02], "race_targets": 2, "finalists": 1,
    "validation_targets": 1, "validation_steps": 2, "validation_rates": [0.01, 0.03],
    "validation_weight_decays": [0.0, 0.1], "test_targets": 2,
}  # fmt: skip
STEPS: dict[str, Any] = {
    "targets": 2, "steps": 20, "validation_targets": 2, "validation_steps": 30, "validation_rates": [0.6],
    "test_targets": 4, "race_targets": 4, "finalists": 2,
}  # fmt: skip


def data_file(folder: Path, seed: int = 0) -> str:
    """Data of 8 inputs and three classes in a file."""
    x, y = blobs(seed=seed)
    np.savez(folder / "mine.npz", x_train=x, y_train=y)
    return str(folder / "mine.npz")


def trained(data: str, **changes: Any) -> Settings:
    """A search of a minute's training at most, on data."""
    training = {"data": data, "hidden": [8, 8], **changes.pop("training", {})}
    return validate({**SMALL, "budget": 48, "training": training, "fidelity": EPOCHS, **changes})
