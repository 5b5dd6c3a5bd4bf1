"""The contract of layers, kept by ``SparseMultiheadAttention``: what a sequence makes of itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.topologies.models.cascades import matrix, small
from topologies import parallel_butterfly
from topologies.models.attention import SparseMultiheadAttention
from topologies.testing.layers.contract import LayerContract
from topologies.testing.layers.layer import Parameters
from topologies.topology import Topology


class ToItself(nn.Module):
    """Attention of a sequence to itself, the outputs alone."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, x, x)[0]

    def reset_parameters(self) -> None:
        self.layer.reset_parameters()


class TestSparseMultiheadAttention(LayerContract):
    """Beside ``nn.MultiheadAttention``."""

    topologies = {  # noqa: RUF012
        "usual": small(),
        "with constants": parallel_butterfly(8, 2, 3),
    }
    batches = ((), (0,), (1,), (5,))
    same_bits = False

    def build(self, topology: Topology, way: str | None, **options: Any) -> ToItself:
        """Two heads, and a learned key beside the others: without it no output depends on the keys' bias."""
        learned = {"add_bias_kv": options.get("bias", True)}
        return ToItself(SparseMultiheadAttention(topology.n_in, 2, topology, batch_first=True, **learned, **options))

    def inputs(self, module: nn.Module, *batch: int) -> Tensor:
        """Three steps of standard normal numbers."""
        like = next(module.parameters())
        return torch.randn(*batch, 3, module.layer.embed_dim, dtype=like.dtype, device=like.device)

    def fold(self, module: nn.Module) -> ToItself:
        """The matrices in PyTorch's own."""
        return ToItself(module.layer.to_multihead_attention()).train(module.training)

    def dense_weights(self, module: nn.Module, parameters: Parameters) -> Parameters:
        """The masked layers multiplied out, those of q, k and v one below another."""
        layer, names = module.layer, ("q", "k", "v", "out_proj")
        *three, out = (
            matrix(getattr(layer, name).topology, parameters[f"layer.{name}.edge_weight"]).T for name in names
        )
        dense = {"layer.in_proj_weight": torch.cat(three), "layer.out_proj.weight": out}
        if layer.q.bias is not None:
            dense["layer.in_proj_bias"] = torch.cat([parameters[f"layer.{name}.bias"] for name in "qkv"])
            dense |= {f"layer.{name}": parameters[f"layer.{name}"] for name in ("out_proj.bias", "bias_k", "bias_v")}
        return dense

    @pytest.mark.parametrize("reduced", [torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("rows", [1, 200])
    def test_autocast_trains_the_parameters(
        self, way: str | None, topology: Topology, rows: int, reduced: torch.dtype
    ) -> None:
        """All gradients together: those of the keys are small differences of large numbers."""
        module = self.make(topology, way)
        x = self.inputs(module, rows)
        parameters = list(module.parameters())
        with torch.autocast("cpu", dtype=reduced):
            y = module(x)
        found = torch.autograd.grad(y, parameters, torch.ones_like(y))
        exact = torch.autograd.grad(module(x).sum(), parameters)
        assert {gradient.dtype for gradient in found} == {torch.float32}
        ours, true = (torch.cat([one.flatten() for one in all_]) for all_ in (found, exact))
        assert (ours - true).norm() < 8 * torch.finfo(reduced).eps * true.norm()
