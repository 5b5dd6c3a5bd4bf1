"""The contract of layers, kept by ``SparseConv1x1``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tests.topologies.models.cascades import matrix, small
from topologies import clos, parallel_butterfly
from topologies.models.pointwise import SparseConv1x1
from topologies.testing.layers.contract import LayerContract
from topologies.testing.layers.layer import Parameters
from topologies.topology import Topology


class TestSparseConv1x1(LayerContract):
    """Beside ``nn.Conv2d``."""

    topologies = {  # noqa: RUF012
        "usual": small(),
        "with constants": parallel_butterfly(16, 2, 4),
        "not square": clos(20, 4, 3, 5),
    }
    batches = ((), (0,), (1,), (5,))

    def build(self, topology: Topology, way: str | None, **options: Any) -> SparseConv1x1:
        """Without strides and padding, which copy the input or show nothing of it: their tests are elsewhere."""
        module = SparseConv1x1(topology, **options)
        module.cascade.way = way
        return module

    def inputs(self, module: nn.Module, *batch: int) -> Tensor:
        """Small images of standard normal numbers."""
        like = module.cascade.edge_weight
        return torch.randn(*batch, module.in_channels, 4, 3, dtype=like.dtype, device=like.device)

    def fold(self, module: nn.Module) -> nn.Conv2d:
        """The matrix in an ordinary convolution."""
        return module.to_conv2d()

    def dense_weights(self, module: nn.Module, parameters: Parameters) -> Parameters:
        """The masked layers multiplied out."""
        dense = {"weight": matrix(module.cascade.topology, parameters["cascade.edge_weight"]).T[:, :, None, None]}
        return dense if module.bias is None else {**dense, "bias": parameters["cascade.bias"]}
