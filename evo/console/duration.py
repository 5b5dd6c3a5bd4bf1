"""Times as people say them, and what to do where they are long."""

from __future__ import annotations

_UNITS = (("days", 86400.0, 2.0), ("hours", 3600.0, 1.5), ("minutes", 60.0, 0.0))
"""Units in seconds, each with the number of them from which it is used."""

LONG = 3600.0
"""Seconds from which a person is told what makes a search shorter."""


def duration(seconds: float) -> str:
    """A time in minutes, hours or days, whichever suits it."""
    name, unit, _ = next(one for one in _UNITS if seconds >= one[1] * one[2])
    return f"{seconds / unit:.1f} {name}"


def advice(seconds: float, generations: int) -> str | None:
    """What makes a search of so many generations shorter; None where it is short enough."""
    if seconds < LONG:
        return None
    fewer = max(1, generations // 10)
    return (
        f"That is long. Fewer generations (--set loop.generations={fewer}), fewer trials of the hand-derived families "
        "(--set tuning.trials=16) and fewer steps (--set fidelity.steps=400) make it shorter; more cores do, too "
        "(--ray-address). A search can be stopped at any time, and resumed."
    )
