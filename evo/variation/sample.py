"""Random structured topologies: founders, and the control that a search has to beat.

What is known to matter is drawn widely: depth, width profile, share of the edges per layer, where constants are.
What is known to help is given to all: even fans, at least one trainable edge a neuron, and no layer so narrow that
it could not use the budget.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evo.bounds import Bounds
from evo.variation.edges import Masks, add, apportion
from evo.variation.repair import repair
from topologies.topology import CONSTANT, Topology

_ATTEMPTS = 40
_NARROWER = 0.9
"""Hidden widths shrink by this factor where the budget is too small for them, and with every failed attempt."""

_Counts = NDArray[np.int64]


def sample(n_in: int, n_out: int, bounds: Bounds, generator: np.random.Generator) -> Topology | None:
    """A random connected topology with exactly the budget; None where none was found.

    Depths are equally likely, from the least that has room for the budget to the one where a neuron of an
    ordinary width would be left with one trainable edge.
    """
    shallowest, deepest = _least_depth(n_in, n_out, bounds), 1 + 2 * bounds.budget // (n_in + n_out)
    if shallowest > bounds.max_depth:
        return None
    depths = np.arange(shallowest, 1 + min(bounds.max_depth, max(shallowest, deepest)))
    for attempt in range(_ATTEMPTS):
        hidden = _hidden(n_in, n_out, int(generator.choice(depths)), bounds, generator) * _NARROWER**attempt
        masks = _masks(n_in, n_out, hidden, bounds, generator)
        topology = None if masks is None else repair(masks, bounds, generator)
        if topology is not None:
            return topology
    return None


def _least_depth(n_in: int, n_out: int, bounds: Bounds) -> int:
    """Layers that have room for the budget; one alone only if the budget makes it dense, as it must be."""
    if bounds.budget == n_in * n_out:
        return 1
    beyond_two = bounds.budget - (n_in + n_out) * bounds.max_width
    return 2 + max(0, -(-beyond_two // bounds.max_width**2))


def _hidden(n_in: int, n_out: int, depth: int, bounds: Bounds, generator: np.random.Generator) -> NDArray[np.float64]:
    """Hidden widths, ``(depth - 1,)``: constant, bulging or tapering around a log-uniform middle.

    Matrices of rank r have r(n_in + n_out - r) degrees of freedom: a narrower layer could not use the budget.
    """
    ends = n_in + n_out
    rank = (ends - np.sqrt(max(0, ends**2 - 4 * bounds.budget))) / 2
    level = np.exp(generator.uniform(np.log(rank), np.log(2 * max(n_in, n_out))))
    bulge = generator.choice([0.0, 1.0, -1.0]) * generator.uniform(0, np.log(2.5))
    profile = level * np.exp(bulge * np.sin(np.pi * np.arange(1, depth) / depth))
    return np.maximum(profile, np.ceil(rank))


def _masks(
    n_in: int, n_out: int, hidden: NDArray[np.float64], bounds: Bounds, generator: np.random.Generator
) -> Masks | None:
    """Masks of these hidden widths, or the nearest that the budget can fill; None where there are none."""
    skips = _skips(hidden.size + 1, generator)
    while True:
        inner = np.clip(np.rint(hidden), 1, bounds.max_width).astype(np.int64)
        widths = np.array([n_in, *inner, n_out])
        constants = _constants(widths, skips, bounds)
        room = widths[:-1] * widths[1:] - constants
        least = np.minimum(room, np.maximum(widths[:-1], widths[1:]) * np.where(constants, 1, 2))
        if least.sum() > bounds.budget and inner.max(initial=1) > 1:
            hidden = np.minimum(hidden, bounds.max_width) * _NARROWER
        elif room.sum() < bounds.budget and inner.min(initial=bounds.max_width) < bounds.max_width:
            hidden = np.maximum(hidden, 1) / _NARROWER
        else:
            break
    if not least.sum() <= bounds.budget <= room.sum():
        return None
    trainable = least + apportion(bounds.budget - int(least.sum()), _shares(widths, generator), room - least)
    masks = [np.zeros(shape, dtype=np.int8) for shape in zip(widths[:-1], widths[1:], strict=True)]
    for mask, fixed, edges in zip(masks, constants, trainable, strict=True):
        add(mask, int(fixed), generator, CONSTANT)
        add(mask, int(edges), generator)
    return masks


def _skips(depth: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Which layers give every neuron a constant edge: none, all, or all but the last (equally likely)."""
    skips = np.full(depth, generator.random() < 2 / 3)
    skips[-1] &= generator.random() < 1 / 2
    return skips


def _constants(widths: _Counts, skips: NDArray[np.bool_], bounds: Bounds) -> _Counts:
    """Constant edges of every layer: one a neuron from the inputs on, while ``max_edges`` has room for a layer.

    A neuron with a single possible source keeps that edge trainable.
    """
    wanted = np.where(skips & (widths[:-1] > 1), widths[1:], 0)
    return np.where(np.cumsum(wanted) <= bounds.max_edges - bounds.budget, wanted, 0)


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
