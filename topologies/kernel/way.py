"""Which way to apply a cascade: a pure function of the topology, dtype, device and number of rows.

Nothing is timed at run time. Costs count a forward and a backward pass, since what a layer is for is training, in units
of a multiply-accumulate of a dense product. Those of a CPU are fitted to what ``python -m tests.benchmarks.layers
--ways`` measures; on other devices nothing has been measured, and products of dense blocks are preferred.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch

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
"""An edge and row layer by layer in plain PyTorch."""


def choose(
    wiring: Wiring,
    dtype: torch.dtype,
    device: torch.device,
    rows: int,
    *,
    kernels: bool = True,
    blocks: float | None = None,
) -> Way:
    """The way that takes the least time for so many rows.

    ``kernels`` says whether compiled ones are to be had, ``blocks`` what the blocks cost for a row where there are any.
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
    edges = _PLAIN_EDGE * (trainable + constant)
    costs: dict[Way, float] = {"folded": wiring.n_in * edges + rows * dense, "plain": rows * edges}
    if blocks is not None:
        costs["blocks"] = rows * blocks
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
    return (_FUSED_CALL + min(rows * edges, folded)) / (_DENSE_CALL + rows * dense)
