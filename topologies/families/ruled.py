"""The topology that a rule says for a size and a budget, its layers wired."""

from __future__ import annotations

from itertools import pairwise
from math import gcd

import numpy as np
from numpy.typing import NDArray

from topologies.families.constants import evenly
from topologies.families.random import switched
from topologies.families.rule import Rule, Shape, Wiring, least_budget, shapes
from topologies.layer import Layer
from topologies.topology import Topology

_Numbers = NDArray[np.integer]
_SWEEPS = 10  # as of random regular topologies
_TRIES = 3  # wirings of a shape that are tried before it is made narrower


def ruled(rule: Rule, n_in: int, n_out: int, budget: int, seed: int = 0, *, skip: bool = True) -> Topology:
    """The connected topology of at most ``budget`` trainable edges that a rule makes; ``seed`` names its wiring.

    ``skip`` has the rule's constant edges, on top of the budget; without it the same edges are all trainable.

    Raises
    ------
    ValueError
        When no topology of so few trainable edges connects every input with every output.
    """
    for shape in shapes(rule, n_in, n_out, budget):
        for attempt in range(_TRIES):
            generator = np.random.default_rng([seed, attempt])
            layers = _layers(rule.wiring, shape, generator)
            if Topology(layers).is_connected:
                pairs = zip(layers, shape.constants, strict=True)
                return Topology(tuple(evenly(layer, constants) for layer, constants in pairs) if skip else layers)
    raise ValueError(
        f"no {n_in} x {n_out} topology of at most {budget} trainable edges is connected: it needs "
        f"{least_budget(n_in, n_out)}"
    )


def _layers(wiring: Wiring, shape: Shape, generator: np.random.Generator) -> tuple[Layer, ...]:
    """The layers of a shape, all edges trainable, also those that are to be constant."""
    found, reached = [], 1.0
    sides = pairwise(shape.widths)
    for (before, after), trainable, constants in zip(sides, shape.trainable, shape.constants, strict=True):
        edges = trainable + constants * after
        reached *= edges / after
        if reached >= 2 * before:  # everything is within reach: begin again, far apart
            reached = edges / after
        found.append(_layer(wiring, before, after, edges, max(1, round(before / max(reached, 1.0))), generator))
    return tuple(found)


def _layer(wiring: Wiring, n_in: int, n_out: int, edges: int, stride: int, generator: np.random.Generator) -> Layer:
    """So many edges whose fans differ by one at most to either side, as far as that can be had."""
    fans = np.diff(np.arange(n_out + 1) * edges // n_out)
    targets = np.repeat(np.arange(n_out), fans)
    sources: _Numbers
    if wiring is Wiring.RANDOM:
        sources = generator.permutation(n_in)[np.arange(edges) % n_in]  # no fan-in is above n_in, so no edge is double
        targets = generator.permutation(n_out)[targets]
        for _ in range(_SWEEPS):
            sources = switched(sources, targets, n_in, generator)
    else:
        within = np.arange(edges) - np.repeat(np.cumsum(fans) - fans, fans)
        first = np.arange(n_out) * n_in // n_out
        sources = (first[targets] + within * (1 if wiring is Wiring.LOCAL else _coprime(stride, n_in))) % n_in
    return Layer(n_in, n_out, sources, targets, np.ones(edges, dtype=np.bool_))


def _coprime(stride: int, size: int) -> int:
    """The stride nearest to the one given, from below, that comes by every place before it comes back to the first."""
    return next(one for one in range(min(stride, max(size - 1, 1)), 0, -1) if gcd(one, size) == 1)
