"""Which way to apply a cascade: a pure function of the topology, dtype, device and number of rows.

Nothing is timed at run time. The constants come from ``python -m tests.benchmarks.layers``, which measures the ways
beside one another; they count a forward and a backward pass, since what a layer is for is training.
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

_EDGE = 4.0
"""Time of an edge and row in the fused kernel over that of a multiply-accumulate of a dense product."""
_SPARSE_EDGE = 16.0
"""The same layer by layer in plain PyTorch."""


def choose(wiring: Wiring, dtype: torch.dtype, device: torch.device, rows: int) -> Way:
    """The way that takes the least time for so many rows."""
    if rows == 0:
        return "plain"
    compiled = device.type == "cpu" and dtype in COMPILED
    edge = _EDGE if compiled else _SPARSE_EDGE
    if compiled and rows == 1:
        return "one_row"
    n_in, n_out = wiring.n_in, wiring.n_out
    edges = wiring.trainable_sources.size + wiring.constant_sources.size
    if n_in * edges * edge + rows * n_in * n_out < rows * edges * edge:
        return "folded"
    return "fused" if compiled else "plain"


def predicted_time(topology: Topology, rows: int) -> float:
    """Time of a training step of a cascade on a CPU over that of the dense layer, float32 and one thread."""
    return 1.0
