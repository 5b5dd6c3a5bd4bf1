"""Hugging Face's ``Conv1D``, a linear layer whose weight is kept as (inputs, outputs)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import topologies.models as tm
from topologies import butterfly, dense
from topologies.topology import Topology


class Conv1D(nn.Module):
    """As in ``transformers.pytorch_utils``."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight = nn.Parameter(torch.randn(nx, nf))
        self.bias = nn.Parameter(torch.randn(nf))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(*x.shape[:-1], self.nf)


Conv1D.__module__ = "transformers.pytorch_utils"


def model() -> nn.Sequential:
    return nn.Sequential(Conv1D(96, 48), nn.GELU(), Conv1D(48, 96))


def test_it_is_converted_saved_loaded_and_folded(tmp_path: Path) -> None:
    plan = tm.plan(model(), density=0.3)
    assert [(change.kind, change.n_in, change.n_out) for change in plan.changes] == [
        ("Conv1D", 48, 96), ("Conv1D", 96, 48)
    ]  # fmt: skip
    given = model().eval()
    bias = given[0].bias.detach().clone()
    sparse = tm.convert(given, plan)
    assert type(sparse[0]) is tm.SparseCascade and torch.equal(sparse[0].bias, bias) and not sparse[0].training
    assert plan.n_parameters_after == sum(one.numel() for one in sparse.parameters())
    x = torch.randn(2, 7, 48)
    loaded = tm.load(model(), tm.save(sparse, tmp_path))
    assert torch.equal(loaded(x), sparse(x))
    folded = tm.fold(sparse)
    assert type(folded[0]) is nn.Linear
    torch.testing.assert_close(folded(x), sparse(x))
    assert tm.convert(model(), butterfly(48, 8, n_out=96), targets=["0"])(x).shape == x.shape


def test_a_class_of_the_name_that_is_not_theirs_is_left_alone() -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(48, 96))

    Mine.__name__ = "Conv1D"
    plan = tm.plan(nn.Sequential(Mine()), density=0.3)
    assert not plan.changes and not plan.skipped


def test_one_that_computes_otherwise_is_left_alone() -> None:
    class Doubled(Conv1D):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    (skip,) = tm.plan(nn.Sequential(Doubled(96, 48)), density=0.3).skipped
    assert "computes in a way of its own" in skip.reason


def test_weights_are_fitted_in_its_orientation() -> None:
    class Exact:
        def __init__(self, topology: Topology, matrix: np.ndarray) -> None:  # type: ignore[type-arg]
            self.weights = np.ascontiguousarray(matrix.T).ravel()

    layer = Conv1D(7, 5)
    sparse = tm.replace_conv1d(layer, dense(5, 7), weights=Exact)
    x = torch.randn(3, 5)
    torch.testing.assert_close(sparse(x), layer(x))


@pytest.mark.parametrize("shape", [(1, 48), (2, 3, 48)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    assert tm.convert(model(), density=0.3)(torch.randn(shape)).shape == shape


@pytest.mark.parametrize("weights", ["fit", True, torch.zeros(5, 7)])
def test_weights_that_are_no_function_are_refused(weights: Any) -> None:
    with pytest.raises(
        TypeError, match=r"weights = \w+: a function of a topology and a matrix is wanted, such as eval"
    ):
        tm.replace_conv1d(Conv1D(7, 5), dense(5, 7), weights=weights)
