"""The contract of layers, kept by ``SparseLSTM`` and ``SparseGRU``: outputs of short sequences beside PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from tests.topologies.models.cascades import matrix, small
from topologies import parallel_butterfly
from topologies.models.recurrent import SparseGRU, SparseLSTM
from topologies.testing.layers.contract import LayerContract
from topologies.testing.layers.derivatives import TRANSFORMS
from topologies.testing.layers.layer import Parameters, values
from topologies.topology import Topology


class Outputs(nn.Module):
    """The outputs of a recurrent layer alone, contiguous."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0].contiguous()

    def reset_parameters(self) -> None:
        self.layer.reset_parameters()


class _Recurrent(LayerContract):
    """Two steps of time; oneDNN, which knows no derivatives beyond the first, is switched off for both sides."""

    topologies = {  # noqa: RUF012
        "usual": small(),
        "with constants": parallel_butterfly(8, 2, 3),
    }
    batches = ((), (1,), (5,))
    same_bits, rounding = False, 8
    layer: ClassVar[type[nn.Module]]

    @pytest.fixture(autouse=True)
    def without_onednn(self) -> Iterator[None]:
        with torch.backends.mkldnn.flags(enabled=False), torch._dynamo.config.patch(allow_rnn=True):
            yield

    @pytest.mark.parametrize("transform", TRANSFORMS)
    def test_function_transforms(self, way: str | None, transform: str) -> None:
        """Where PyTorch's kernels have a rule for it."""
        module = self.usual(way)
        try:
            TRANSFORMS[transform](self.twin(module), values(module), self.inputs(module, 7))
        except RuntimeError as problem:
            assert "Batching rule not implemented" in str(problem) or "broadcast shape" in str(problem)
            pytest.skip("PyTorch has no rule for it")
        super().test_function_transforms(way, transform)

    def test_compiled_under_autocast(self, way: str | None) -> None:
        """The steps of a graph round elsewhere than the kernel does."""
        module = self.usual(way)
        x, slope = self.inputs(module, 64), torch.randn(64, 2, module.layer.hidden_size)
        torch._dynamo.reset()
        found = []
        for layer in (torch.compile(module, backend="aot_eager", fullgraph=True), module):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                y = layer(x)
            found.append([y.float(), *torch.autograd.grad(y, list(module.parameters()), slope.to(y.dtype))])
        for one, other in zip(*found, strict=True):
            assert (one - other).norm() < 0.03 * other.norm()

    def build(self, topology: Topology, way: str | None, **options: Any) -> Outputs:
        return Outputs(self.layer(topology.n_in, topology.n_out, topology, batch_first=True, **options))

    def inputs(self, module: nn.Module, *batch: int) -> Tensor:
        like = next(module.parameters())
        return torch.randn(*batch, 2, module.layer.input_size, dtype=like.dtype, device=like.device)

    def dense_weights(self, module: nn.Module, parameters: Parameters) -> Parameters:
        """The masked layers multiplied out, those of the gates one below another."""
        layer, dense = module.layer, {}
        for kind in ("ih", "hh"):
            gates = [
                matrix(layer.cascades[name].topology, parameters[f"layer.cascades.{name}.edge_weight"]).T
                for name in (f"{kind}_l0_{gate}" for gate in layer.gates)
            ]
            dense[f"layer.weight_{kind}_l0"] = torch.cat(gates)
            if layer.bias:
                dense[f"layer.bias_{kind}_l0"] = parameters[f"layer.bias_{kind}_l0"]
        return dense


class TestSparseLSTM(_Recurrent):
    """Beside ``nn.LSTM``."""

    layer = SparseLSTM

    def fold(self, module: nn.Module) -> Outputs:
        return Outputs(module.layer.to_lstm()).train(module.training)


class TestSparseGRU(_Recurrent):
    """Beside ``nn.GRU``."""

    layer = SparseGRU

    def fold(self, module: nn.Module) -> Outputs:
        return Outputs(module.layer.to_gru()).train(module.training)
