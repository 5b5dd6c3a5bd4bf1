"""Random structured topologies: candidates without parents, and the control that a search has to beat.

What is known to matter is drawn widely: depth, width profile, share of the edges per layer, where constants are.
What is known to help is given to all: even fans, at least one trainable edge a neuron, and no layer so narrow that
it could not use the budget.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evo.variation.bounds import Bounds
from evo.variation.edges import Masks, add, apportion
from evo.variation.founders import wire
from evo.variation.repair import repair
from evo.variation.space import Space
from topologies.entries import CONSTANT, TRAINABLE
from topologies.topology import Topology

_ATTEMPTS, _STARS = 20, 5
"""How often even fans are tried, and then stars."""
_NARROWER = 0.85
"""Hidden widths shrink by this factor where the budget is too small for them, and with every failed attempt."""
_RESIZES = 60
"""How often at most; from the greatest width to one neuron takes fewer."""

_MOST_SKIPS = 3
"""Constant edges of a neuron, at most."""
_LOCAL = 2 / 3
"""The share of samples whose layers may be wired by nearness, where inputs have places."""

_Counts = NDArray[np.int64]


def sample(
    n_in: int, n_out: int, bounds: Bounds, generator: np.random.Generator, space: Space | None = None
) -> Topology | None:
    """A random topology with exactly the budget, connected where the bounds ask for it; None where none was found.

    Depths are equally likely, from the least that has room for the budget to the one where a neuron of an
    ordinary width would be left with one trainable edge; where connections are not asked for, the likelier the fewer.
    Budgets so small that even fans connect nothing get a star. Where inputs have places, layers are wired by nearness,
    by chance or by both.
    """
    shallowest, deepest = _least_depth(n_in, n_out, bounds), 1 + 2 * bounds.budget // (n_in + n_out)
    if shallowest > bounds.max_depth:
        return None
    among = range(shallowest, 1 + min(bounds.max_depth, max(shallowest, deepest)))
    depths = np.array([depth for depth in among if _room(n_in, n_out, depth, bounds.max_width) >= bounds.budget])
    for attempt in range(_ATTEMPTS + _STARS):
        if attempt < _ATTEMPTS:
            depth = int(generator.choice(depths, p=None if bounds.connected else (1 / depths) / (1 / depths).sum()))
            hidden = _hidden(n_in, n_out, depth, bounds, generator) * _NARROWER**attempt
            fan = 2 if attempt < _ATTEMPTS // 2 else 1
            local = space if space is not None and generator.random() < _LOCAL else None
            masks = _masks(n_in, n_out, hidden, fan, bounds, generator, local)
        else:
            masks = _star(n_in, n_out, bounds, generator)
        topology = None if masks is None else repair(masks, bounds, generator)
        if topology is not None:
            return topology
    return None


def _least_depth(n_in: int, n_out: int, bounds: Bounds) -> int:
    """Layers that have room for the budget; one alone only if the budget makes it dense, as it must be."""
    if bounds.budget == n_in * n_out or (bounds.budget < n_in * n_out and not bounds.connected):
        return 1
    beyond_two = bounds.budget - _room(n_in, n_out, 2, bounds.max_width)
    return 2 + max(0, -(-beyond_two // bounds.max_width**2))


def _room(n_in: int, n_out: int, depth: int, width: int) -> int:
    """Edges of so many dense layers with hidden layers of this width."""
    return n_in * n_out if depth == 1 else (n_in + n_out) * width + (depth - 2) * width**2


def _hidden(n_in: int, n_out: int, depth: int, bounds: Bounds, generator: np.random.Generator) -> NDArray[np.float64]:
    """Hidden widths, ``(depth - 1,)``: constant, bulging or tapering around a log-uniform middle.

    Matrices of rank r have r(n_in + n_out - r) degrees of freedom: a narrower layer could not use the budget.
    """
    ends = n_in + n_out
    rank = (ends - np.sqrt(max(0, ends**2 - 4 * bounds.budget))) / 2
    level = np.exp(generator.uniform(np.log(rank), np.log(2 * max(n_in, n_out))))
    bulge = generator.choice([0.0, 1.0, -1.0]) * generator.uniform(0, np.log(2.5))
    profile = level * np.exp(bulge * np.sin(np.pi * np.arange(1, depth) / depth))
    return np.asarray(np.maximum(profile, np.ceil(rank)))


def _masks(
    n_in: int,
    n_out: int,
    hidden: NDArray[np.float64],
    fan: int,
    bounds: Bounds,
    generator: np.random.Generator,
    space: Space | None,
) -> Masks | None:
    """Masks of these hidden widths, or narrower or wider ones that suit the budget; None where none do."""
    skips = _skips(hidden.size + 1, generator)
    if bounds.connected and hidden.size == 0:
        skips[:] = 0  # a connected single layer is dense, and its budget is all of it
    plan = _Plan.of(n_in, n_out, hidden, skips, fan, bounds)
    factor = _NARROWER if plan.least.sum() > bounds.budget else 1 / _NARROWER
    for _ in range(_RESIZES):
        if plan.least.sum() <= bounds.budget <= plan.room.sum():
            break
        hidden = np.clip(hidden * factor, 1, bounds.max_width)
        plan = _Plan.of(n_in, n_out, hidden, skips, fan, bounds)
    else:
        return None
    spare = bounds.budget - int(plan.least.sum())
    trainable = plan.least + apportion(spare, _shares(plan.widths, generator), plan.room - plan.least)
    masks = [np.zeros(shape, dtype=np.int8) for shape in zip(plan.widths[:-1], plan.widths[1:], strict=True)]
    if space is not None:
        wire(masks, space, plan.constants, trainable, generator)
        return masks
    for mask, fixed, edges in zip(masks, plan.constants, trainable, strict=True):
        add(mask, int(fixed), generator, CONSTANT)
        add(mask, int(edges), generator)
    return masks


def _skips(depth: int, generator: np.random.Generator) -> _Counts:
    """Constant edges that each layer gives every neuron: none, one in all layers or all but the last, or each layer its
    own number up to three (equally likely).

    Where budgets are small, searches among samples with several constants a neuron end with some 6 % less error than
    among samples with one at most (``tests/benchmarks/results.md``).
    """
    style = generator.integers(4 if depth > 1 else 3)
    if style == 3:
        return generator.integers(_MOST_SKIPS, size=depth, endpoint=True)
    skips = np.full(depth, int(style > 0))
    skips[-1] = int(style == 2)
    return skips


def _star(n_in: int, n_out: int, bounds: Bounds, generator: np.random.Generator) -> Masks:
    """Two layers, a hidden neuron joined to every input and output, and others that share the rest of the budget."""
    rest = bounds.budget - n_in - n_out
    least, most = -(-bounds.budget // (n_in + n_out)), 1 + rest // 2
    width = min(bounds.max_width, int(generator.integers(least, max(least, most), endpoint=True)))
    masks = [np.zeros((n_in, width), dtype=np.int8), np.zeros((width, n_out), dtype=np.int8)]
    masks[0][:, 0] = masks[1][0] = TRAINABLE
    add(masks[0], rest // 2, generator)
    add(masks[1], rest - rest // 2, generator)
    return masks


class _Plan(NamedTuple):
    """Neurons, constants, and least and most trainable edges of the layers of a cascade."""

    widths: _Counts
    constants: _Counts
    least: _Counts
    room: _Counts

    @staticmethod
    def of(n_in: int, n_out: int, hidden: NDArray[np.float64], skips: _Counts, fan: int, bounds: Bounds) -> _Plan:
        """Every neuron has at least a trainable edge beside its constant ones, or ``fan`` where it has none.

        Layers get their constants from the inputs on while ``max_edges`` has room; a neuron with a single possible
        source keeps that edge trainable.
        """
        widths = np.array([n_in, *np.clip(np.rint(hidden), 1, bounds.max_width).astype(np.int64), n_out])
        wanted = np.minimum(skips, widths[:-1] - 1) * widths[1:]
        constants = np.where(np.cumsum(wanted) <= bounds.max_edges - bounds.budget, wanted, 0)
        room = widths[:-1] * widths[1:] - constants
        least = np.minimum(room, np.maximum(widths[:-1], widths[1:]) * np.where(constants, 1, fan))
        return _Plan(widths, constants, least, room)


def _shares(widths: _Counts, generator: np.random.Generator) -> NDArray[np.float64]:
    """Weights by which the layers share the budget: even fans throughout, more at the ends, or random."""
    shares = np.maximum(widths[:-1], widths[1:]).astype(np.float64)
    style = generator.integers(3)
    if style == 1:
        to_ends = np.abs(np.linspace(-1, 1, shares.size))
        shares *= 1 + generator.uniform(0.5, 3.0) * to_ends
    elif style == 2:
        shares *= np.exp(generator.normal(0.0, 0.5, shares.size))
    return shares
