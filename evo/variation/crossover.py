"""Crossover by layers: the first layers of one parent, then the last layers of another.

Where connections are not asked for a parent may be a single layer, which cannot be cut; of two such, some outputs see
what they see in one and the others what they see in the other.
"""

from __future__ import annotations

import numpy as np

from evo.variation.bounds import Bounds
from evo.variation.edges import Masks
from evo.variation.repair import repair
from topologies.topology import Topology

_PICKY = 5.0
"""How much cuts that fit are preferred: a mismatch of 20 % makes one e times less likely."""


def crossover(first: Topology, second: Topology, bounds: Bounds, generator: np.random.Generator) -> Topology | None:
    """A child that starts like one parent and ends like the other; None where nothing new comes of it.

    The parents are cut at hidden layers, preferably where their widths agree and the parts together have about
    the budget. The wider side of the cut loses neurons at random, and repair does the rest.

    Raises
    ------
    ValueError
        When the parents have different numbers of inputs or outputs.
    """
    if (first.n_in, first.n_out) != (second.n_in, second.n_out):
        raise ValueError(
            f"parents of sizes {first.n_in} x {first.n_out} and {second.n_in} x {second.n_out}: "
            "only equal sizes can be crossed"
        )
    if first.depth == second.depth == 1 and not bounds.connected:
        masks = [np.where(generator.random(first.n_out) < 0.5, first.masks()[0], second.masks()[0])]
    else:
        cut = _cut(first, second, bounds, generator)
        if cut is None:
            return None
        head, tail = first.masks()[: cut[0]], second.masks()[cut[1] :]
        _fit(head, tail, generator)
        masks = [*head, *tail]
    child = repair(masks, bounds, generator)
    return None if child is None or child.digest in (first.digest, second.digest) else child


def _cut(first: Topology, second: Topology, bounds: Bounds, generator: np.random.Generator) -> tuple[int, int] | None:
    """After how many layers either parent is cut."""
    before = np.arange(1, first.depth)
    after = np.arange(1, second.depth)
    depth = before[:, None] + (second.depth - after)
    widths = np.log(np.array(first.widths)[before, None] / np.array(second.widths)[after])
    trainable = _trainable(first)[before, None] + (second.n_trainable - _trainable(second)[after])
    mismatch = np.abs(widths) + np.abs(trainable / bounds.budget - 1)
    weights = np.where(depth <= bounds.max_depth, np.exp(-_PICKY * mismatch), 0.0)
    if not weights.any():
        return None
    chosen = int(generator.choice(weights.size, p=(weights / weights.sum()).ravel()))
    return int(before[chosen // after.size]), int(after[chosen % after.size])


def _trainable(topology: Topology) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Trainable edges in the first ``l`` layers, shape ``(depth + 1,)``."""
    return np.cumsum([0, *(layer.n_trainable for layer in topology.layers)])


def _fit(head: Masks, tail: Masks, generator: np.random.Generator) -> None:
    """Make both sides of the cut as wide as the narrower one."""
    widths = head[-1].shape[1], tail[0].shape[0]
    stays = np.sort(generator.permutation(max(widths))[: min(widths)])
    if widths[0] > widths[1]:
        head[-1] = head[-1][:, stays]
    elif widths[1] > widths[0]:
        tail[0] = tail[0][stays]
