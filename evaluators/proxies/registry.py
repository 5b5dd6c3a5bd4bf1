"""Proxies by name, scores that need no target matrices: what can screen candidates, or be wanted beside the error.

All are small for a topology that promises a small reconstruction error, so that any of them can take its place.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from topologies.stack import AnyTopology
from topologies.topology import Topology

if TYPE_CHECKING:
    from evaluators.controllability.model import Control

_HUGE = 1e300

CONTROL = ("controllability", "unfairness")
"""The two numbers that are read off uniform K, noted of every candidate unless a recipe says otherwise."""


def _capacity(topology: Topology) -> float:
    from evaluators.proxies.capacity import predict

    return predict(topology)


@lru_cache(maxsize=16)
def _control(topology: Topology) -> Control:
    """Uniform K, kept for the second number that is read off it; ValueError where it would take too much memory."""
    from evaluators.controllability.evaluator import MEMORY, Controllability

    if 16 * max(topology.widths) * topology.n_in > MEMORY:
        raise ValueError(f"uniform K of {topology.n_in} inputs and {max(topology.widths)} neurons a layer is too large")
    return Controllability("uniform").analyse(topology)


def _controllability(topology: Topology) -> float:
    return -_control(topology).total


def _unfairness(topology: Topology) -> float:
    """That of the least fair K there is where a topology has ratios but controls none: it is no good topology."""
    control = _control(topology)
    return control.unfairness if control.total or not control.wanted else math.sqrt(control.matrix.size - 1)


def _tangent_rank(topology: Topology) -> float:
    from evaluators.proxies.tangent_rank import TangentRank

    return -float(TangentRank().analyse(topology))


def _effective_rank(topology: Topology) -> float:
    from evaluators.proxies.tangent_rank import TangentRank

    return -TangentRank().spectrum(topology).effective_rank


def _matching(topology: Topology) -> float:
    from evaluators.proxies.matching import ConstraintMatching

    return -float(ConstraintMatching().analyse(topology).count)


def _bandwidth(topology: Topology) -> float:
    from evaluators.proxies.graph_measures import bandwidth

    return -float(bandwidth(topology))


def _synflow(topology: Topology) -> float:
    """Infinite where no parameter is on a path."""
    from evaluators.proxies.graph_measures import synflow

    log_score = synflow(topology)
    return log_score if log_score > -math.inf else math.inf


PROXIES: dict[str, Callable[[Topology], float]] = {
    "capacity": _capacity,
    "controllability": _controllability,
    "unfairness": _unfairness,
    "tangent_rank": _tangent_rank,
    "effective_rank": _effective_rank,
    "matching": _matching,
    "bandwidth": _bandwidth,
    "synflow": _synflow,
    "depth": lambda topology: float(topology.depth),
}
"""Negated where the measure itself is large for a good topology."""

OF_THE_WORST = frozenset({"unfairness"})
"""What is as great of a stack as of the worst of its places; of the others it is the sum."""


def measure(name: str, topology: AnyTopology) -> float:
    """A proxy's value for a topology, a finite number; small is promising, and what is no number is not at all.

    That of a stack is the sum over its places, or the greatest in :data:`OF_THE_WORST`.

    Ten digits of it: the last bits of some scores depend on the machine, and choices should not.

    Raises
    ------
    ValueError
        For a name that is not in :data:`PROXIES`.
    """
    check(name)
    first, *others = (PROXIES[name](place) for place in topology.places)
    whole = max(first, *others) if others and name in OF_THE_WORST else sum(others, first)
    value = np.nan_to_num(whole, nan=_HUGE, posinf=_HUGE, neginf=-_HUGE)
    return float(f"{value:.10g}")


def check(name: str) -> str:
    """The name, if it is one; else ValueError."""
    if name not in PROXIES:
        near = difflib.get_close_matches(name, PROXIES, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(PROXIES)}"
        raise ValueError(f"there is no proxy {name!r}: {hint}")
    return name
