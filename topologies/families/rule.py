"""Rules: from a size and a budget to the shape of a topology, by a law of few numbers.

A rule that does well at some sizes can be asked for a topology at any other. It speaks of relative quantities only:
the density that the budget leaves, and how large the layer is compared with 32 x 32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import pairwise, product
from math import log2, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

REFERENCE = 32
"""The size, the geometric mean of inputs and outputs, at which a law's terms of the size vanish."""
MOST_LAYERS = 16
"""Deeper cascades leave each layer too few edges."""
MOST_CONSTANTS = 4
"""Constant edges into a neuron."""
_SHRINK = 0.85  # hidden widths are multiplied by it until a topology is connected within its budget


class Wiring(StrEnum):
    """How the edges of a layer lie, whatever their number."""

    RANDOM = "random"
    """Fans are equal, and everything else is left to chance."""
    STRIDES = "strides"
    """Sources of a neuron are equally far apart: far in the first layer, ever nearer in the next ones."""
    LOCAL = "local"
    """Sources of a neuron are neighbours."""


@dataclass(frozen=True)
class Rule:
    """The law: each quantity is a sum of terms of the density, of its logarithm, and of the logarithm of the size.

    With density rho = budget / (n_in n_out), thinness t = log2(1 / rho) / 4 and size s = log2(sqrt(n_in n_out) / 32):

    - the number of layers is ``depth + depth_density rho + depth_thin t + depth_size s``, rounded;
    - hidden widths, at positions x from 0 to 1, are the geometric mean of inputs and outputs, times
      ``(n_out / n_in) ** (slope (x - 1/2))``, times 2 to the power of
      ``width + width_density rho + width_thin t + width_size s
      + (bulge + bulge_density rho + bulge_thin t + bulge_size s) sin(pi x) + lean (x - 1/2)``;
    - trainable edges of a layer are in proportion to the larger of its sides, and ``1 + ends`` times as many at both
      ends as in the middle (``ends + ends_density rho``);
    - beside its trainable edges a neuron of the first layer has ``constants_first`` constant ones, and one of another
      layer, at position y from 0 for the second to 1 for the last, ``constants + constants_density rho
      + constants_thin t + constants_lean (y - 1/2)``, both rounded to one of 0 to 4; fans are equal. Where that cannot
      be connected every neuron has one, and where that leaves no room for the budget the layers have one or none.
    """

    depth: float
    depth_density: float
    depth_thin: float
    depth_size: float
    width: float
    width_density: float
    width_thin: float
    width_size: float
    bulge: float
    bulge_density: float
    bulge_thin: float
    bulge_size: float
    slope: float
    lean: float
    ends: float
    ends_density: float
    constants: float = 1.0
    constants_density: float = 0.0
    constants_thin: float = 0.0
    constants_lean: float = 0.0
    constants_first: float = 1.0
    wiring: Wiring = Wiring.RANDOM

    @property
    def numbers(self) -> tuple[float, ...]:
        """The law's numbers, in the order of :data:`BOUNDS`."""
        return tuple(getattr(self, name) for name in BOUNDS)

    @property
    def law(self) -> dict[str, float]:
        """The law's numbers by name."""
        return dict(zip(BOUNDS, self.numbers, strict=True))

    @classmethod
    def of(cls, numbers: NDArray[np.float64], wiring: Wiring) -> Rule:
        """The rule of these numbers, in the order of :data:`BOUNDS`, each brought within its bounds."""
        pairs = zip(BOUNDS.items(), numbers, strict=True)
        return cls(**{name: float(min(max(value, low), high)) for (name, (low, high)), value in pairs}, wiring=wiring)


BOUNDS: dict[str, tuple[float, float]] = {
    "depth": (2.0, 12.0),
    "depth_density": (-8.0, 8.0),
    "depth_thin": (-6.0, 6.0),
    "depth_size": (-1.5, 1.5),
    "width": (-3.0, 2.0),
    "width_density": (-3.0, 4.0),
    "width_thin": (-4.0, 2.0),
    "width_size": (-0.6, 0.6),
    "bulge": (-3.0, 2.0),
    "bulge_density": (-3.0, 4.0),
    "bulge_thin": (-3.0, 3.0),
    "bulge_size": (-0.6, 0.6),
    "slope": (0.0, 2.0),
    "lean": (-1.5, 1.5),
    "ends": (0.0, 2.0),
    "ends_density": (-2.0, 2.0),
    "constants": (0.0, 4.0),
    "constants_density": (-4.0, 4.0),
    "constants_thin": (-4.0, 4.0),
    "constants_lean": (-4.0, 4.0),
    "constants_first": (0.0, 2.0),
}
"""The least and the greatest value of each of a law's numbers."""

assert tuple(BOUNDS) == tuple(field.name for field in fields(Rule))[:-1]


@dataclass(frozen=True)
class Shape:
    """What a rule says of one size and budget: neurons of every layer of neurons, and for every layer of edges how many
    are trainable, and how many constant ones lead into each neuron.
    """

    widths: tuple[int, ...]
    trainable: tuple[int, ...]
    constants: tuple[int, ...]

    @property
    def fan_in(self) -> tuple[float, ...]:
        """Mean trainable edges of a neuron, layer by layer."""
        return tuple(edges / width for edges, width in zip(self.trainable, self.widths[1:], strict=True))


def least_budget(n_in: int, n_out: int) -> int:
    """Trainable edges that the thinnest connected topology needs, in which every neuron has a constant edge too."""
    if n_in == 1 or n_out == 1:
        return max(n_out, n_in - 1)
    return n_in + n_out - 1


def shapes(rule: Rule, n_in: int, n_out: int, budget: int) -> Iterator[Shape]:
    """What the rule says of a size and a budget, and ever narrower shapes for where that cannot be connected.

    The last is connected whatever its wiring. None has more trainable edges than the budget.
    """
    rho = min(budget / (n_in * n_out), 1.0)
    thin, size = log2(1 / rho) / 4, log2(sqrt(n_in * n_out) / REFERENCE)
    wanted = rule.depth + rule.depth_density * rho + rule.depth_thin * thin + rule.depth_size * size
    depth = min(max(round(wanted), 2), MOST_LAYERS)
    level = rule.width + rule.width_density * rho + rule.width_thin * thin + rule.width_size * size
    bulge = rule.bulge + rule.bulge_density * rho + rule.bulge_thin * thin + rule.bulge_size * size
    hidden = []
    for place in range(1, depth):
        x = place / depth
        exponent = level + bulge * sin(pi * x) + (rule.lean + rule.slope * log2(n_out / n_in)) * (x - 0.5)
        hidden.append(sqrt(n_in * n_out) * 2.0**exponent)
    ends = max(0.0, rule.ends + rule.ends_density * rho)
    said = _constants(rule, depth, rho, thin)
    while any(width >= 1.5 for width in hidden):
        widths = (n_in, *(max(1, round(width)) for width in hidden), n_out)
        for constants in dict.fromkeys((said, _ones(widths))):
            shape = _within(budget, widths, ends, constants)
            if shape is not None:
                yield shape
        hidden = [width * _SHRINK for width in hidden]
    narrowest = (n_in, n_out) if 1 in (n_in, n_out) else (n_in, 1, n_out)
    ranks = range(min(n_in, n_out, 2 * budget // (n_in + n_out)), 1, -1)
    for widths in (*((n_in, rank, n_out) for rank in ranks), narrowest):
        for constants in product((1, 0), repeat=len(widths) - 1):  # fewer constants leave room for more trainable edges
            shape = _within(budget, widths, ends, constants)
            if shape is not None and sum(shape.trainable) == min(budget, n_in * n_out):
                yield shape
    shape = _within(budget, narrowest, ends, _ones(narrowest))
    if shape is not None:
        yield shape


def _constants(rule: Rule, depth: int, rho: float, thin: float) -> tuple[int, ...]:
    """Constant edges into a neuron of every layer of edges."""
    level = rule.constants + rule.constants_density * rho + rule.constants_thin * thin
    later = [level + rule.constants_lean * (y - 0.5) for y in np.linspace(0, 1, depth - 1)] if depth > 2 else [level]
    return tuple(min(max(round(one), 0), MOST_CONSTANTS) for one in (rule.constants_first, *later))


def _ones(widths: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) * (len(widths) - 1)


def _within(budget: int, widths: tuple[int, ...], ends: float, wanted: tuple[int, ...]) -> Shape | None:
    """The budget divided among layers of these widths, None where it is too small for them.

    A neuron has fewer constant edges than sources.
    """
    sides = list(pairwise(widths))
    constants = tuple(min(one, before - 1) for one, (before, _) in zip(wanted, sides, strict=True))
    held = [one * after for one, (_, after) in zip(constants, sides, strict=True)]
    least = [max(after, before - beside, 1) for (before, after), beside in zip(sides, held, strict=True)]
    most = [before * after - beside for (before, after), beside in zip(sides, held, strict=True)]
    least = [min(pair) for pair in zip(least, most, strict=True)]
    if sum(least) > budget:
        return None
    places = np.abs(np.linspace(-1, 1, len(sides))) if len(sides) > 1 else np.zeros(1)
    claims = [max(pair) * (1 + ends * float(place)) for pair, place in zip(sides, places, strict=True)]
    return Shape(widths, _divided(budget, claims, least, most), constants)


def _divided(total: int, claims: list[float], least: list[int], most: list[int]) -> tuple[int, ...]:
    """Whole numbers in proportion to claims, within their limits, that add up to ``total`` or to all that fits."""
    low, high = 0.0, float(sum(most))
    for _ in range(80):
        scale = (low + high) / 2
        given = [min(max(int(scale * claim), a), b) for claim, a, b in zip(claims, least, most, strict=True)]
        low, high = (scale, high) if sum(given) <= total else (low, scale)
    given = [min(max(int(low * claim), a), b) for claim, a, b in zip(claims, least, most, strict=True)]
    for place in sorted(range(len(given)), key=lambda place: given[place] - low * claims[place]):
        left = total - sum(given)  # a few, which rounding down has left
        if left > 0 and given[place] < most[place]:
            given[place] += 1
    return tuple(given)
