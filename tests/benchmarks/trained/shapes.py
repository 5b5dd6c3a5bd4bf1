"""What a cascade looks like to the batched trainer: a few products of equal blocks, with places to put its weights in.

A butterfly's neighbouring layers fall apart into equal blocks whose matrices multiply out, so that twenty layers become
a handful of products (:mod:`topologies.kernel.blocks`). Shallow cascades are taken layer by layer, whole: then all
topologies of one size have one shape, whatever their edges, and train in one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch

from topologies.kernel.blocks import Run, runs
from topologies.layer import Layer
from topologies.topology import Topology

SHALLOW = 4
"""Layers up to which a cascade is taken layer by layer."""

Shape = tuple[tuple[int, tuple[int, ...], tuple[int, ...]], ...]
"""For every run its blocks, the sizes of a block, and about how many trainable edges each layer has."""


@lru_cache(maxsize=4096)
def cut(topology: Topology) -> tuple[Run, ...]:
    """The cascade as products of equal blocks."""
    found = runs(topology) if topology.depth > SHALLOW else None
    return tuple(found or map(_whole, topology.layers))


@lru_cache(maxsize=4096)
def shape(topology: Topology) -> Shape:
    """What topologies that train in one batch have in common."""
    return tuple(
        (run.blocks, run.sizes, tuple(_about(run, number) for number in range(len(run.trainable))))
        for run in cut(topology)
    )


def multiplications(places: Sequence[Topology], rows: int) -> int:
    """Multiply-accumulates of a batch of so many rows on its way forward; a step takes three times as many."""
    return sum(run.once + rows * run.per_row for topology in places for run in cut(topology))


def _whole(layer: Layer) -> Run:
    """A layer as one block."""
    at = torch.from_numpy(layer.targets.astype("int64") * layer.n_in + layer.sources)
    kind = torch.from_numpy(layer.trainable.copy())
    ends = (torch.arange(layer.n_in), torch.arange(layer.n_out))
    return Run(1, *ends, (layer.n_in, layer.n_out), (at[kind],), (at[~kind],))


def _about(run: Run, number: int) -> int:
    """The trainable edges of a layer: the next power of two, but exactly where it is so full that none can be added."""
    trainable, constant = run.trainable[number].numel(), run.constants[number].numel()
    room = run.blocks * run.sizes[number] * run.sizes[number + 1]
    return trainable if 2 * (trainable + constant) > room else -(1 << max(0, trainable - 1).bit_length())
