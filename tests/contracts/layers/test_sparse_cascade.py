"""The contract of layers, kept by ``SparseCascade``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tests.topologies.models.cascades import matrix, random_topology, small
from topologies import clos, dense, monarch, parallel_butterfly
from topologies.models.cascade import SparseCascade
from topologies.testing.layers.contract import LayerContract
from topologies.testing.layers.layer import Parameters
from topologies.topology import Topology


class TestSparseCascade(LayerContract):
    """Beside ``nn.Linear``."""

    topologies = {  # noqa: RUF012
        "usual": small(),
        "with constants": parallel_butterfly(16, 2, 4),
        "in blocks": monarch(16, 4),
        "not square": clos(20, 4, 3, 5),
        "many edges a neuron": dense(300, 3),
        "one output": random_topology(5, n_in=9, n_out=1),
        "neurons without inputs": random_topology(2, n_in=7, n_out=5),
        "neurons without outputs": random_topology(4, n_in=5, n_out=11),
        "nothing to train": Topology.from_masks([[[2, 0, 2], [0, 2, 0]], [[2, 0], [2, 0], [0, 2]]]),
    }
    ways = ("fused", "one_row", "blocks", "folded", "plain", None)
    batches = ((), (0,), (1,), (5,), (2, 3), (3, 0, 2), (2, 3, 4), (70, 3))

    def build(self, topology: Topology, way: str | None, **options: Any) -> SparseCascade:
        """The layer, its way of computing pinned where one is named."""
        pinned = {} if way is None else {"way": way}
        return SparseCascade(topology, **pinned, **options)

    def inputs(self, module: nn.Module, *batch: int) -> Tensor:
        """Standard normal numbers."""
        like = module.edge_weight
        return torch.randn(*batch, module.in_features, dtype=like.dtype, device=like.device)

    def fold(self, module: nn.Module) -> nn.Linear:
        """The matrix in an ordinary layer."""
        return module.to_linear()

    def dense_weights(self, module: nn.Module, parameters: Parameters) -> Parameters:
        """The masked layers multiplied out."""
        dense = {"weight": matrix(module.topology, parameters["edge_weight"]).T}
        return dense if module.bias is None else {**dense, "bias": parameters["bias"]}
