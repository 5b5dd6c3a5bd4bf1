"""Bringing a near miss to what every candidate must be: connected where asked, on budget, and without dead neurons.

Masks are changed in place; they are the working copy of whoever calls.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evo.variation.bounds import Bounds
from evo.variation.edges import (
    Mask,
    Masks,
    add,
    apportion,
    count,
    freezable,
    one_per_neuron,
    removable,
)
from evo.variation.paths import Paths
from topologies.entries import ABSENT, CONSTANT, TRAINABLE
from topologies.layer import Layer
from topologies.topology import Topology

_PATCHES = 1 / 8
"""At most this part of the budget may be new edges that restore connectivity: more would be another topology."""
_TRIALS = 40
"""How often a group of edges is taken away on trial."""


def repair(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Topology | None:
    """The admissible topology next to these masks, or None where there is none within reach.

    Neurons without any edge go, others get the edge they lack; where connections are asked for, missing ones are
    patched by the edges that restore most of them; then trainable edges are added or removed to meet the budget, and
    constants removed to meet ``max_edges``, in proportion to what the layers have.
    """
    widths = (masks[0].shape[0], *(mask.shape[1] for mask in masks))
    if not bounds.admits_widths(widths):
        return None
    prune(masks)
    revive(masks, generator)
    paths = Paths(masks) if bounds.connected else None
    if paths is not None and not connect(masks, paths, 1 + int(bounds.budget * _PATCHES), generator):
        return None
    surplus = count(masks, TRAINABLE) - bounds.budget
    if surplus > 0:
        freeze(masks, thin(masks, paths, surplus, generator), generator)
    elif surplus < 0:
        top_up(masks, -surplus, generator)
    excess = bounds.budget + count(masks, CONSTANT) - bounds.max_edges
    if excess > 0:
        thin(masks, Paths(masks) if bounds.connected else None, excess, generator, CONSTANT)
    if not bounds.admits_edges(count(masks, TRAINABLE), count(masks, CONSTANT)):
        return None
    return Topology(tuple(_layer(mask) for mask in masks))


def fill(topology: Topology, bounds: Bounds, generator: np.random.Generator) -> Topology | None:
    """A topology below the budget with random trainable edges added up to it, shared out as its own edges are.

    None where it has too many trainable edges already, no room for more, or is out of bounds.
    """
    if bounds.admits(topology):
        return topology
    if topology.n_trainable > bounds.budget:
        return None
    return repair(topology.masks(), bounds, generator)


def prune(masks: Masks) -> None:
    """Remove hidden neurons that have no edge at all; a layer keeps at least one neuron."""
    for place in range(1, len(masks)):
        used = masks[place - 1].any(axis=0) | masks[place].any(axis=1)
        if used.any() and not used.all():
            masks[place - 1], masks[place] = masks[place - 1][:, used], masks[place][used]


def revive(masks: Masks, generator: np.random.Generator) -> None:
    """Give every neuron without an edge into it, or out of it, a trainable one from or to the least used neuron."""
    for mask in masks:
        for side in (mask, mask.T):
            used = side.any(axis=1)
            if not used.all():
                bare = np.flatnonzero(~used)
                use = np.count_nonzero(side, axis=0) + generator.random(side.shape[1])
                side[bare, np.resize(np.argsort(use), bare.size)] = TRAINABLE


def connect(masks: Masks, paths: Paths, patches: int, generator: np.random.Generator) -> bool:
    """Join every input to every output with at most ``patches`` new trainable edges; whether that was enough.

    Each is the edge, of all layers, that joins most of the pairs without a path; the search ends early when as
    many pairs a patch would not be enough.
    """
    for left in range(patches, 0, -1):
        missing = paths.missing
        if missing == 0:
            return True
        gains = paths.gains()
        most = np.array([gain.max() for gain in gains])
        if missing > left * most.max():
            return False
        best = int(np.argmax(most + generator.random(most.size)))
        noisy = gains[best] + generator.random(gains[best].shape, dtype=np.float32)
        source, target = np.unravel_index(int(noisy.argmax()), noisy.shape)
        masks[best][source, target] = TRAINABLE
        paths.add(best, int(source), int(target))
    return paths.missing == 0


def thin(masks: Masks, paths: Paths | None, number: int, generator: np.random.Generator, kind: int = TRAINABLE) -> int:
    """Remove edges of a kind, every layer its part, without losing a connection; returns how many still have to go.

    A group of edges goes on trial; where a connection is lost it comes back, and a smaller group is tried. Without
    paths to be kept all go at once, and every neuron keeps an edge on either side.
    """
    cells = _queue(masks, generator, kind)
    if paths is None:
        _clear(masks, cells[:number])
        return max(0, number - cells.size)
    group = number
    for _ in range(_TRIALS):
        group = min(group, number, cells.size)
        if group == 0:
            break
        if paths.spare(cells[:group]):
            number -= group
            done = group
            group *= 2
        else:
            done = group == 1  # this edge has to stay
            group = max(1, group // 2)
        cells = cells[done:]
    for mask, link in zip(masks, paths.links, strict=True):
        mask[~link] = ABSENT
    return number


def top_up(masks: Masks, number: int, generator: np.random.Generator) -> None:
    """Add trainable edges, every layer in proportion to what it has."""
    weights = [1 + np.count_nonzero(mask == TRAINABLE) for mask in masks]
    room = [np.count_nonzero(mask == ABSENT) for mask in masks]
    for mask, share in zip(masks, apportion(number, weights, room), strict=True):
        add(mask, int(share), generator)


def freeze(masks: Masks, number: int, generator: np.random.Generator) -> None:
    """Make trainable edges constant, at most one a neuron and only beside another edge: they cost no budget."""
    for place in generator.permutation(len(masks)):
        sources, targets = one_per_neuron(freezable(masks[place]), generator)
        masks[place][sources[:number], targets[:number]] = CONSTANT
        number -= min(number, targets.size)


def _queue(masks: Masks, generator: np.random.Generator, kind: int) -> NDArray[np.intp]:
    """Where in the array of all links the removable edges are, in an order that takes an equal part of every layer."""
    cells, start = [], 0
    for mask in masks:
        sources, targets = removable(mask, generator, kind)
        cells.append(start + sources * mask.shape[1] + targets)
        start += mask.size
    turns = [(np.arange(one.size) + generator.random(one.size)) / max(1, one.size) for one in cells]
    return np.concatenate(cells)[np.argsort(np.concatenate(turns))]


def _clear(masks: Masks, cells: NDArray[np.intp]) -> None:
    """Take the edges at these cells, numbered as in :func:`_queue`, out of their masks."""
    start = 0
    for mask in masks:
        here = cells[(cells >= start) & (cells < start + mask.size)] - start
        mask[np.divmod(here, mask.shape[1])] = ABSENT
        start += mask.size


def _layer(mask: Mask) -> Layer:
    """The layer of a mask, edges by target, then source."""
    by_target = mask.T.ravel()
    cells = np.flatnonzero(by_target != ABSENT)
    targets, sources = np.divmod(cells.astype(np.int32), mask.shape[0])
    return Layer.in_order(mask.shape[0], mask.shape[1], sources, targets, by_target[cells] == TRAINABLE)
