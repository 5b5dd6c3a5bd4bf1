"""The family that evolution found: one law for all sizes and budgets, evolved at sizes from 12 to 96.

How it was found and what it is worth: ``runs/rule.toml`` and ``tests/benchmarks/results.md``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from topologies.families.arguments import both_sides, whole
from topologies.families.family import MAX_BUDGET, SHARED, Family, Line, Member, member
from topologies.families.rule import Rule, Wiring, least_budget
from topologies.families.ruled import ruled
from topologies.layer import Layer
from topologies.topology import Topology

LAW = Rule(
    depth=6.841,
    depth_density=-0.755,
    depth_thin=1.388,
    depth_size=0.789,
    width=-1.469,
    width_density=3.569,
    width_thin=0.63,
    width_size=0.298,
    bulge=-1.389,
    bulge_density=2.226,
    bulge_thin=0.504,
    bulge_size=0.017,
    slope=0.712,
    lean=0.106,
    ends=0.461,
    ends_density=1.169,
    constants=1.765,
    constants_density=0.134,
    constants_thin=-0.398,
    constants_lean=-0.584,
    constants_first=0.15,
    wiring=Wiring.RANDOM,
)
"""The law, in the words of :class:`topologies.families.rule.Rule`."""


def evolved(
    n_in: int, n_out: int, budget: int, seed: int = 0, *, skip: bool = True, diagonal: bool = False
) -> Topology:
    """What the evolved law says of a size and a budget: depth, widths and fans, wired at random with equal fans.

    Parameters
    ----------
    n_in, n_out:
        Inputs and outputs.
    budget:
        Trainable edges at most; the constants of ``skip`` and those of ``diagonal`` come on top.
    seed:
        Names one wiring for good.
    skip, diagonal:
        Constant edges as the law has them, up to a few a neuron; a diagonal layer at the end.

    Raises
    ------
    ValueError
        For an inadmissible argument; the message names the nearest admissible one.
    """
    n_in, n_out = both_sides(n_in, n_out)
    budget = whole("budget", budget, least_budget(n_in, n_out), MAX_BUDGET)
    topology = ruled(LAW, n_in, n_out, budget, whole("seed", seed, 0, 2**63), skip=skip)
    if not diagonal:
        return topology
    outputs = np.arange(n_out)
    return Topology((*topology.layers, Layer(n_out, n_out, outputs, outputs, np.ones(n_out, dtype=np.bool_))))


def _lines(n_in: int, n_out: int, budget: int) -> Iterator[Line]:
    """One member at every budget up to what a dense layer has: every connected shape is found by building it."""
    least, most = least_budget(n_in, n_out), max(least_budget(n_in, n_out), min(budget, n_in * n_out))
    yield Line(
        range(least, most + 1),
        lambda step: {"n_in": n_in, "n_out": n_out, "budget": step},
        lambda step: step,
        certain=lambda step: True,
        floor=least,
    )


def _listed(n_in: int, n_out: int, budget: int) -> list[Member]:
    """The largest member alone: those of smaller budgets have greater errors."""
    return [
        member(evolved, line.arguments(step), evolved(n_in, n_out, step).n_trainable)
        for line in _lines(n_in, n_out, budget)
        for step in line.largest(budget)
    ]


FAMILIES = (
    Family(
        "evolved",
        evolved,
        "what evolution found at other sizes, as a law of depth, widths, fans and constants",
        {
            "n_in": "inputs",
            "n_out": "outputs",
            "budget": "trainable edges",
            "seed": "names one wiring for good",
            "skip": "constant edges as the law has them",
            "diagonal": SHARED["diagonal"],
        },
        "evolved(32, 32, 640)",
        _lines,
        listed=_listed,
    ),
)
