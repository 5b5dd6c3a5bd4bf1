"""Errors on few targets and on many, made comparable.

Candidates that are promoted have an error on more targets than the others. Targets differ in how hard they are, by
more than good topologies differ from each other, so that the means of the two are not comparable as they are: where the
first targets are easy ones every candidate looks better than the promoted, where they are hard none is promoted any
more. What the best of the promoted have on all targets beyond what they have on the first ones is therefore added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evo.algorithm.individual import Individual

BEST = 8
"""How many of the promoted say how much harder all targets are than the first ones."""

Errors = tuple[float, ...]
"""An individual's errors, one a target; none where its evaluation failed."""


def levelled(errors: Sequence[Errors]) -> list[float]:
    """The mean error of each, as it would be on as many targets as the longest has; infinite where there is none."""
    means = [float(np.mean(one)) if one else float("inf") for one in errors]
    most = max(map(len, errors), default=0)
    promoted = [one for _, one in sorted(zip(means, errors, strict=True)) if len(one) == most][:BEST]
    harder = {few: harder_by(promoted, few) for few in {len(one) for one in errors if one}}
    return [mean + harder.get(len(one), 0.0) for mean, one in zip(means, errors, strict=True)]


def on_one_level(individuals: Sequence[Individual]) -> list[Individual]:
    """The individuals with errors that can be compared."""
    levels = levelled([one.errors for one in individuals])
    return [
        replace(one, harder=level - float(np.mean(one.errors))) if one.errors else one
        for one, level in zip(individuals, levels, strict=True)
    ]


def harder_by(promoted: Sequence[Errors], few: int) -> float:
    """By how much the mean error of the promoted on all targets is greater than on the first ``few``."""
    return float(np.mean([np.mean(one) - np.mean(one[:few]) for one in promoted]))
