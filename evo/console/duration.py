"""Times as people say them, and what to do where they are long."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evo.settings import Settings

_UNITS = (("days", 86400.0, 2.0), ("hours", 3600.0, 1.5), ("minutes", 60.0, 0.0))
"""Units in seconds, each with the number of them from which it is used."""

LONG = 3600.0
"""Seconds from which a person is told what makes a search shorter."""


def duration(seconds: float) -> str:
    """A time in minutes, hours or days, whichever suits it."""
    name, unit, _ = next(one for one in _UNITS if seconds >= one[1] * one[2])
    return f"{seconds / unit:.1f} {name}"


def advice(seconds: float, settings: Settings) -> str | None:
    """What makes a search shorter, by keys of its recipe that can be less; None where it is short enough."""
    if seconds < LONG:
        return None
    steps, fewest = settings.fidelity.steps, 1 if settings.training is None else 2  # epochs
    less = {
        "loop.generations": (settings.loop.generations, max(1, settings.loop.generations // 10)),
        "tuning.trials": (settings.tuning.trials, max(1, settings.tuning.trials // 4)),
        "fidelity.finalists": (settings.fidelity.finalists, max(1, settings.fidelity.finalists // 4)),
        "fidelity.steps": (steps, max(fewest, steps // 3)),
    }
    told = " and ".join(f"--set {key}={fewer}" for key, (now, fewer) in less.items() if fewer < now)
    shorter = f"{told} would make it shorter, and more cores would (--ray-address)" if told else "More cores would help"
    return f"That is long. {shorter}. A search can be stopped at any time, and resumed."
