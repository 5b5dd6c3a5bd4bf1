"""A cascade whose layers fall apart into equal blocks, as Monarch's and Clos networks do, as batched dense products.

A run of layers falls apart where its neurons, inputs and outputs included, hang together in groups of equal sizes. The
matrices of one group multiply out to one block, so a run is a single :func:`torch.bmm`, between which values change
places. Where to cut the cascade into runs is found by dynamic programming.

It is plain PyTorch: it runs on every device, and can be differentiated as often as wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from topologies.kernel.components import components
from topologies.layer import Layer
from topologies.topology import Topology

_ROWS = 512
"""Rows of a batch over which the multiplying out of layers is spread where the cut is chosen."""
_MOVE = 24.0
"""What moving one value between runs is taken to cost, in dense multiply-accumulates: it decides where to cut."""


@dataclass(frozen=True)
class Run:
    """Neighbouring layers that fall apart into ``blocks`` equal blocks.

    Attributes
    ----------
    inputs, outputs:
        The neurons before and after the run, block by block, ``(n_in,)`` and ``(n_out,)``.
    sizes:
        Neurons of a block in every layer of the run, inputs first.
    trainable, constants:
        For every layer the places of its edges in its blocks' matrices, ``(blocks, size after, size before)`` flat.
    """

    blocks: int
    inputs: Tensor
    outputs: Tensor
    sizes: tuple[int, ...]
    trainable: tuple[Tensor, ...]
    constants: tuple[Tensor, ...]

    @property
    def once(self) -> int:
        """Multiply-accumulates of multiplying the layers out, whatever the number of rows."""
        return self.blocks * self.sizes[0] * sum(before * after for before, after in pairwise(self.sizes[1:]))

    @property
    def per_row(self) -> int:
        """Multiply-accumulates of the blocks for one row."""
        return self.blocks * self.sizes[0] * self.sizes[-1]

    @property
    def moves(self) -> int:
        """Values that change places before or after the run, for one row."""
        return max(self.inputs.numel(), self.outputs.numel())

    @property
    def cost(self) -> float:
        """What decides where to cut: the operations of one row, with its share of multiplying the layers out."""
        return self.once / _ROWS + self.per_row + _MOVE * self.moves


def runs(topology: Topology) -> list[Run] | None:
    """The cascade cut into runs with the fewest operations a row, moves included; None where a layer has no blocks."""
    layers = topology.layers
    best: list[tuple[float, list[Run]] | None] = [(0.0, []), *([None] * len(layers))]
    for end in range(1, len(layers) + 1):
        for begin in range(end - 1, -1, -1):
            before, run = best[begin], _run(layers[begin:end])
            if run is None and begin < end - 1:
                break  # more layers hang together even more
            if run is None or before is None:
                continue
            found = best[end]
            if found is not None and run.cost >= found[0]:
                break  # more layers only cost more
            if found is None or before[0] + run.cost < found[0]:
                best[end] = (before[0] + run.cost, [*before[1], run])
    return best[-1][1] if best[-1] else None


def multiply(x: Tensor, weight: Tensor, cut: list[Run]) -> Tensor:
    """Rows ``(rows, n_in)`` through all runs: ``(rows, n_out)``. The trainable weights are the cascade's."""
    values, order, first = x.T, None, 0
    for run in cut:
        matrix, first = _matrix(weight, run, first)
        places = run.inputs if order is None else order[run.inputs]
        values = torch.bmm(matrix, values.index_select(0, places).view(run.blocks, run.sizes[0], -1)).flatten(0, 1)
        order = torch.argsort(run.outputs)
    return (values if order is None else values.index_select(0, order)).T.contiguous()


def moved(cut: list[Run], device: torch.device) -> list[Run]:
    """The same runs with their places on another device."""
    return [
        Run(
            run.blocks,
            run.inputs.to(device),
            run.outputs.to(device),
            run.sizes,
            tuple(one.to(device) for one in run.trainable),
            tuple(one.to(device) for one in run.constants),
        )
        for run in cut
    ]


def _matrix(weight: Tensor, run: Run, first: int) -> tuple[Tensor, int]:
    """The blocks of a run multiplied out, ``(blocks, size after, size before)``, and the next run's first weight."""
    product: Tensor | None = None
    for (before, after), trainable, constants in zip(pairwise(run.sizes), run.trainable, run.constants, strict=True):
        flat = weight.new_zeros(run.blocks * after * before)
        flat = flat.index_fill(0, constants, 1).index_copy(0, trainable, weight[first : first + trainable.numel()])
        first += trainable.numel()
        layer = flat.view(run.blocks, after, before)
        product = layer if product is None else torch.bmm(layer, product)
    assert product is not None
    return product, first


def _run(layers: tuple[Layer, ...]) -> Run | None:
    """The layers as blocks, or None where these are not equal."""
    widths = [layers[0].n_in, *(layer.n_out for layer in layers)]
    blocks, of_layer = components(widths, layers)
    sizes = [np.bincount(label, minlength=blocks) for label in of_layer]
    if any(size.min() != size.max() for size in sizes):
        return None
    orders = [np.argsort(label, kind="stable") for label in of_layer]
    places: list[NDArray[np.int64]] = [np.argsort(order) for order in orders]  # block * size + place in it
    kinds: tuple[list[Tensor], list[Tensor]] = ([], [])
    for layer, before, after, size in zip(layers, places, places[1:], sizes, strict=False):
        at = after[layer.targets] * size[0] + before[layer.sources] % size[0]
        kinds[0].append(torch.from_numpy(at[layer.trainable]))
        kinds[1].append(torch.from_numpy(at[~layer.trainable]))
    return Run(
        int(blocks),
        torch.from_numpy(orders[0]),
        torch.from_numpy(orders[-1]),
        tuple(int(size[0]) for size in sizes),
        tuple(kinds[0]),
        tuple(kinds[1]),
    )
