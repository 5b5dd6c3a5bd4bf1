"""Which way to apply a cascade: a pure function of the topology, dtype, device and number of rows.

Nothing is timed at run time. Costs count a forward and a backward pass, since what a layer is for is training, in units
of a multiply-accumulate of a dense product. Those of a CPU are fitted to what ``python -m tests.benchmarks.layers
--ways`` measures, those of all other devices to ``python -m tests.benchmarks.layers_gpu`` on an H200 in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch

from topologies.kernel.blocks import Run
from topologies.kernel.wiring import Wiring
from topologies.topology import Topology

Way = Literal["fused", "one_row", "blocks", "folded", "plain"]
WAYS: tuple[Way, ...] = get_args(Way)
"""Compiled for many rows or for one; batched dense products; one dense product; layer by layer in plain PyTorch."""

COMPILED = (torch.float32, torch.bfloat16, torch.float16)
"""What the compiled kernels take: they add up in float32."""

_TRAINABLE, _CONSTANT, _NEURON, _END = 2.0, 1.0, 5.0, 21.0
"""The fused kernel for a row: an edge of either kind, a neuron after the inputs, and an input or output."""
_FUSED_CALL, _DENSE_CALL = 3e6, 1e6
"""A call of the fused kernel, and of a dense layer."""
_PLAIN_EDGE = 16.0
"""An edge and row layer by layer in plain PyTorch on a CPU."""

_GPU_EDGE, _GPU_NEURON, _GPU_MOVE = 75.0, 265.0, 110.0
"""On a GPU an edge and a neuron layer by layer, for a row, and a value that is moved between runs of blocks."""
_GPU_CALL, _GPU_LAYER, _GPU_BLOCK_LAYER = 8e9, 0.4e9, 1.7e9
"""A call of plain PyTorch, and what each layer adds to it, layer by layer or as blocks; folding is one layer more."""


def choose(
    wiring: Wiring,
    dtype: torch.dtype,
    device: torch.device,
    rows: int,
    *,
    kernels: bool = True,
    cut: Sequence[Run] | None = None,
) -> Way:
    """The way that takes the least time for so many rows.

    ``kernels`` says whether compiled ones are to be had, and ``cut`` holds the runs of blocks, where there are any.
    """
    if rows == 0:
        return "plain"
    dense = wiring.n_in * wiring.n_out
    trainable, constant = wiring.edges.trainable_sources.size, wiring.edges.constant_sources.size
    if kernels and device.type == "cpu" and dtype in COMPILED:
        if rows == 1:
            return "one_row"
        edges = fused_cost(trainable, constant, wiring.widths.tolist())
        return "folded" if wiring.n_in * edges + rows * dense + _FUSED_CALL < rows * edges else "fused"
    if device.type in ("cpu", "meta"):
        edges = _PLAIN_EDGE * (trainable + constant)
        return "folded" if wiring.n_in * edges + rows * dense < rows * edges else "plain"
    widths = wiring.widths.tolist()
    layers, edges = len(widths) - 1, _GPU_EDGE * (trainable + constant) + _GPU_NEURON * sum(widths[1:])
    costs: dict[Way, float] = {
        "plain": _GPU_CALL + _GPU_LAYER * layers + rows * edges,
        "folded": _GPU_CALL + _GPU_LAYER * (layers + 1) + wiring.n_in * edges + rows * dense,
    }
    if cut is not None:
        once, moves = sum(run.once for run in cut), sum(run.moves for run in cut)
        per_row = sum(run.per_row for run in cut) + _GPU_MOVE * moves
        costs["blocks"] = _GPU_CALL + _GPU_BLOCK_LAYER * layers + once + rows * per_row
    return min(costs, key=lambda way: costs[way])


def fused_cost(trainable: int, constant: int, widths: list[int]) -> float:
    """A row of a cascade of so many edges through the fused kernel, of a batch that fills its tiles."""
    neurons = sum(widths[1:])
    return _TRAINABLE * trainable + _CONSTANT * constant + _NEURON * neurons + _END * (widths[0] + widths[-1])


def predicted_time(topology: Topology, rows: int) -> float:
    """Time of a training step of a cascade on a CPU over that of the dense layer, in float32 on one thread."""
    dense = topology.n_in * topology.n_out
    edges = fused_cost(topology.n_trainable, topology.n_constant, list(topology.widths))
    folded = topology.n_in * edges + rows * dense
    return (_FUSED_CALL + min(rows * edges, folded)) / dense_cost(topology.n_in, topology.n_out, rows)


def dense_cost(n_in: int, n_out: int, rows: int) -> float:
    """A training step of a dense layer on a CPU."""
    return _DENSE_CALL + rows * n_in * n_out
