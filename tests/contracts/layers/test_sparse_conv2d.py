"""The contract of layers, kept by ``SparseConv2d``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tests.topologies.models.cascades import matrix, small
from topologies import clos, parallel_butterfly
from topologies.models.separable import SparseConv2d
from topologies.testing.layers.contract import LayerContract
from topologies.testing.layers.layer import Parameters
from topologies.topology import Topology


class TestSparseConv2d(LayerContract):
    """Beside ``nn.Conv2d`` of 3 × 3 pixels."""

    topologies = {  # noqa: RUF012
        "usual": small(),
        "with constants": parallel_butterfly(16, 2, 4),
        "not square": clos(20, 4, 3, 5),
    }
    batches = ((), (0,), (1,), (5,))

    def build(self, topology: Topology, way: str | None, **options: Any) -> SparseConv2d:
        """Two filters a channel, and zeros around, so that the images keep their size."""
        module = SparseConv2d(topology.n_in // 2, topology.n_out, 3, topology, 2, padding=1, **options)
        module.cascade.way = way
        return module

    def inputs(self, module: nn.Module, *batch: int) -> Tensor:
        """Small images of standard normal numbers."""
        like = module.cascade.edge_weight
        return torch.randn(*batch, module.in_channels, 4, 3, dtype=like.dtype, device=like.device)

    def fold(self, module: nn.Module) -> nn.Conv2d:
        """The kernel in an ordinary convolution."""
        return module.to_conv2d()

    def dense_weights(self, module: nn.Module, parameters: Parameters) -> Parameters:
        """The masked layers multiplied out, and every filter weighed by what its channel gives to an output."""
        mixing = matrix(module.cascade.topology, parameters["cascade.edge_weight"])
        filters = parameters["depthwise.weight"][:, 0]
        each = mixing.T[:, :, None, None] * filters
        dense = {"weight": each[:, 0::2] + each[:, 1::2]}
        return dense if module.bias is None else {**dense, "bias": parameters["cascade.bias"]}
