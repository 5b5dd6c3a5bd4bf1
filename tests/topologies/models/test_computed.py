"""The weight that a cascade computes: read by others as any layer's, and written by nobody."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.topologies.models.cascades import FEW, product, small
from topologies.models.cascade import SparseCascade


@pytest.mark.parametrize(
    "assign",
    [
        lambda cascade: setattr(cascade, "weight", nn.Linear(12, 12).weight),
        lambda cascade: setattr(cascade, "weight", cascade.weight),
        lambda cascade: setattr(cascade, "weight", None),
        lambda cascade: cascade.register_parameter("weight", nn.Linear(12, 12).weight),
    ],
    ids=["tie", "tensor", "none", "register"],
)
def test_who_assigns_it_is_told_what_to_do_instead(assign: Callable[[SparseCascade], None]) -> None:
    cascade = SparseCascade(small())
    with pytest.raises(AttributeError, match=r"initialise edge_weight.*or put its to_linear\(\) in its place"):
        assign(cascade)
    np.testing.assert_allclose(cascade.weight.detach().T, product(cascade), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "write",
    [
        *(getattr(nn.init, f"{name}_uniform_") for name in ("xavier", "kaiming")),
        *(getattr(nn.init, f"{name}_") for name in ("normal", "trunc_normal", "orthogonal", "zeros", "eye")),
        lambda weight: weight.data.normal_(),
        lambda weight: weight.data.__setitem__(0, 1.0),
        lambda weight: setattr(weight, "data", torch.zeros(12, 12)),
        lambda weight: weight.__setitem__((0, 0), 1.0),
        lambda weight: weight.copy_(torch.zeros(12, 12)),
        lambda weight: weight.__imul__(2),
        lambda weight: torch.zeros(12, 12, out=weight),
    ],
)
def test_who_writes_into_it_is_told_what_to_do_instead(write: Callable[[Tensor], Any]) -> None:
    cascade = SparseCascade(small())
    with pytest.raises(RuntimeError, match="initialise edge_weight"), torch.no_grad():
        write(cascade.weight)
    linear = cascade.to_linear()
    with torch.no_grad():
        linear.weight.copy_(cascade.weight)  # reading is no writing
        linear.weight.mul_(cascade.weight)


def test_what_is_computed_from_it_is_ordinary() -> None:
    cascade = SparseCascade(small())
    for value in (cascade.weight + 1, cascade.weight.detach(), cascade.weight.T, cascade.weight.clone()):
        assert type(value) is Tensor
    torch.testing.assert_close(cascade.weight, cascade.dense().T, check_dtype=True)
    nn.functional.linear(torch.ones(FEW, 12), cascade.weight).sum().backward()
    assert cascade.edge_weight.grad is not None


def test_edge_weights_are_tied_and_reparametrised_as_any_parameter() -> None:
    one, other = SparseCascade(small()), SparseCascade(small())
    other.edge_weight = one.edge_weight
    assert torch.equal(one(torch.ones(12)), other(torch.ones(12)))
    nn.utils.parametrizations.weight_norm(one, "edge_weight")
    one(torch.ones(FEW, 12)).sum().backward()
    assert all(parameter.grad is not None for parameter in one.parameters())


def test_compiled_where_a_module_reads_the_weight() -> None:
    model = nn.TransformerEncoderLayer(12, 3, dim_feedforward=12, dropout=0.0, batch_first=True)
    model.linear1, model.self_attn.out_proj = SparseCascade(small()), SparseCascade(small())
    x = torch.randn(4, 7, 12)
    torch.testing.assert_close(torch.compile(model, backend="aot_eager", fullgraph=True)(x), model(x))


def test_works_where_a_module_reads_the_weight_of_its_linear_layer() -> None:
    """Attention takes out_proj.weight, and an encoder layer in eval mode linear1.weight, without calling them."""
    sparse = nn.TransformerEncoderLayer(12, 3, dim_feedforward=12, dropout=0.0, batch_first=True).eval()
    sparse.linear1 = SparseCascade(small())
    sparse.self_attn.out_proj = SparseCascade(small())
    dense = copy.deepcopy(sparse)
    dense.linear1 = sparse.linear1.to_linear()
    dense.self_attn.out_proj = sparse.self_attn.out_proj.to_linear()
    x = torch.randn(4, 7, 12)
    with torch.no_grad():
        torch.testing.assert_close(sparse(x), dense(x))
    sparse.train()(x).sum().backward()
    assert sparse.self_attn.out_proj.edge_weight.grad is not None
