"""How carefully a search on data is made, from careful to cheap, as values of its recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from evo.recipe import overridden

BATCH, MOST_CANDIDATES = 32, 768
"""Candidates that evolution breeds: the fewest, of which there are whole multiples, and the most."""


@dataclass(frozen=True)
class Care:
    """How carefully a search is made: the counts and grids of a recipe that cost time, beside its candidates."""

    finalists: int
    trials: int
    rates: Sequence[float]
    race: int
    validations: int
    grid: Sequence[float]
    decays: Sequence[float]
    tests: int


CARES = (
    Care(8, 16, (0.003, 0.01, 0.03), 3, 3, (0.003, 0.01, 0.03), (0.0, 0.1, 0.3), 5),
    Care(5, 8, (0.005, 0.02), 3, 2, (0.003, 0.01, 0.03), (0.0, 0.1), 5),
    Care(3, 6, (0.01,), 3, 1, (0.003, 0.01, 0.03), (0.0, 0.1), 5),
    Care(2, 4, (0.01,), 2, 1, (0.005, 0.02), (0.0,), 3),
    Care(1, 2, (0.01,), 2, 1, (0.01,), (0.0,), 2),
)
"""From careful to cheap."""


def values_of(
    base: dict[str, Any],
    care: Care,
    epochs: int,
    search_epochs: int,
    candidates: int,
    workers: int,
    overrides: Sequence[str],
) -> dict[str, Any]:
    """A recipe: the base with so many epochs of finalists and of candidates, and so many candidates.

    Few candidates under way find more, so generations are as small as so many workers allow, up to eight; for more than
    eight workers more generations are evaluated at a time, up to a quarter of all: what is bred blindly is not evolved.
    """
    offspring = min(8, max(2, 1 << (workers - 1).bit_length()))
    generations = candidates // offspring
    pending = max(4, min(1 + ceil(3 * workers / offspring), generations // 4))
    fidelity = {
        "steps": search_epochs,
        "rates": care.rates,
        "race_targets": care.race,
        "finalists": care.finalists,
        "validation_targets": care.validations,
        "validation_steps": epochs,
        "validation_rates": care.grid,
        "validation_weight_decays": care.decays,
    }
    if "folds" not in base["training"]:
        fidelity["test_targets"] = care.tests
    made = {
        **base,
        "loop": {
            "generations": generations,
            "offspring": offspring,
            "max_pending_generations": pending,
            "population": 48 if candidates > 480 else 24,
        },
        "tuning": {"trials": care.trials},
        "fidelity": fidelity,
    }
    return overridden(made, overrides)
