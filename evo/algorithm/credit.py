"""Which operators a search tries most: those that have done well so far (adaptive operator selection).

An operator's success is the share of its latest offspring that entered the population, over the mean of all operators
(probability matching; Thierens, "An adaptive pursuit strategy for allocating operator probabilities", 2005). It is a
function of the scores told, so that a search is what it is whatever the workers and their timing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evo.algorithm.individual import Individual

MEMORY = 200
"""Offspring after which an outcome counts 1/e: what helps in the beginning is not what helps in the end."""
PRIOR = 4
"""Offspring of mean success that every operator is taken to have had before its first."""
LEAST, MOST = 0.25, 4.0
"""Success is kept between these, so that no operator is given up, and none drives out the others."""


@dataclass(frozen=True)
class Credit:
    """Offspring of one operator, and how many of them entered the population; older ones count less."""

    operator: str
    tried: float = 0.0
    entered: float = 0.0


Credits = tuple[Credit, ...]
"""Of all operators that were tried, by name."""


def credited(known: Sequence[Credit], generation: Iterable[Individual], population: Iterable[Individual]) -> Credits:
    """The credits after a generation was told, of which ``population`` holds those that entered it."""
    found = {one.operator: one for one in known}
    entered, fade = {one.candidate.number for one in population}, 1 - 1 / MEMORY
    for one in generation:
        if not one.candidate.parents:
            continue
        found = {name: Credit(name, fade * old.tried, fade * old.entered) for name, old in found.items()}
        name = one.candidate.operator
        old = found.get(name, Credit(name))
        found[name] = Credit(name, old.tried + 1, old.entered + (one.candidate.number in entered))
    return tuple(sorted(found.values(), key=lambda credit: credit.operator))


def success(known: Sequence[Credit]) -> dict[str, float]:
    """The success of every operator that was tried, 1 for one that does as well as all together."""
    tried, entered = sum(one.tried for one in known), sum(one.entered for one in known)
    if entered == 0:
        return {}
    mean = entered / tried
    shares = {one.operator: (one.entered + PRIOR * mean) / (one.tried + PRIOR) for one in known}
    return {name: min(max(share / mean, LEAST), MOST) for name, share in shares.items()}
