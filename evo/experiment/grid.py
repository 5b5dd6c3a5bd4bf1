"""Grids of learning rates and weight decays that grow where their end is best, so that no row is cut off by its grid.

A grid grows by its own spacing, one step at a time. What the recipe gives as the only value stays the only one, and
there is nothing below a weight decay of 0.
"""

from __future__ import annotations

from dataclasses import replace

from evaluators.task import Fidelity, Score
from evo.storage.names import GRID_STEPS

_FACTOR = 3.0
"""Spacing of weight decays of which only one is not 0."""


def grown(fidelity: Fidelity, score: Score) -> Fidelity:
    """The fidelity with one more rate, or weight decay, or both, where the score chose one at an end; else the same."""
    return replace(
        fidelity,
        rates=_grown(fidelity.rates, score.learning_rate),
        weight_decays=_grown(fidelity.weight_decays, score.weight_decay),
    )


def added(before: Fidelity, after: Fidelity) -> list[Fidelity]:
    """What a grown grid has more than it had before, as one or two fidelities."""
    rates = tuple(rate for rate in after.rates if rate not in before.rates)
    decays = tuple(decay for decay in after.weight_decays if decay not in before.weight_decays)
    found = [replace(after, rates=rates)] if rates else []
    return [*found, replace(before, weight_decays=decays)] if decays else found


def remark(fidelity: Fidelity, score: Score) -> str:
    """In words, what a score chose outside of a fidelity's grid, and whether growing ended there; else nothing."""
    told = []
    for name, chosen, grid in (
        ("rate", score.learning_rate, fidelity.rates),
        ("weight decay", score.weight_decay, fidelity.weight_decays),
    ):
        if chosen is not None and not min(grid) <= chosen <= max(grid):
            end = max if chosen > max(grid) else min
            last = grid
            for _ in range(GRID_STEPS):
                last = _grown(last, end(last))
            told.append(f"{name} {chosen:g} from beyond the grid" + ", still at its end" * (chosen == end(last)))
    return ", ".join(told)


def _grown(values: tuple[float, ...], chosen: float | None) -> tuple[float, ...]:
    """The values, and one more where an end of several is chosen."""
    ordered = sorted(values)
    if len(ordered) < 2 or chosen not in (ordered[0], ordered[-1]):
        return values
    if chosen == ordered[-1]:
        more = ordered[-1] * (ordered[-1] / ordered[-2] if ordered[-2] else _FACTOR)
    else:
        more = ordered[0] * (ordered[0] / ordered[1])
    return (*values, float(f"{more:.6g}")) if more else values
