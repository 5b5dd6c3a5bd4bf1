"""What is particular to SparseCascade; what it shares with every layer is in ``tests/contracts/layers``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.topologies.models.cascades import FEW, MANY, product, random_topology, small
from topologies.models.cascade import SparseCascade
from topologies.models.replace import replace_linear
from topologies.packing import pack
from topologies.topology import Topology

fast = settings(max_examples=30, deadline=None)


@fast
@given(st.integers(0, 2**32), st.sampled_from([1, FEW, MANY]), st.booleans())
def test_equals_the_product_of_its_masked_layers(seed: int, rows: int, bias: bool) -> None:
    cascade = SparseCascade(random_topology(seed), bias=bias, dtype=torch.float64)
    x = torch.randn(rows, cascade.in_features, dtype=torch.float64)
    expected = x.numpy() @ product(cascade)
    if cascade.bias is not None:
        nn.init.normal_(cascade.bias)
        expected = expected + cascade.bias.detach().numpy()
    np.testing.assert_allclose(cascade(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(cascade.dense().detach().numpy(), product(cascade), rtol=1e-10, atol=1e-12)


@fast
@given(st.integers(0, 2**32), st.booleans())
def test_only_trainable_edges_and_the_bias_are_parameters(seed: int, bias: bool) -> None:
    topology = random_topology(seed)
    cascade = SparseCascade(topology, bias=bias)
    count = sum(parameter.numel() for parameter in cascade.parameters())
    assert count == topology.n_trainable + (topology.n_out if bias else 0)


def test_constants_stay_one_through_training() -> None:
    cascade = SparseCascade(Topology.from_masks([[[2, 1], [0, 2]], [[2, 0], [0, 2]]]), bias=False)
    optimiser = torch.optim.AdamW(cascade.parameters(), lr=0.1, weight_decay=0.5)
    for _ in range(20):
        optimiser.zero_grad()
        cascade(torch.randn(4, 2)).square().sum().backward()
        optimiser.step()
    dense = cascade.dense().detach()
    assert torch.equal(dense.diagonal(), torch.ones(2))
    assert dense[1, 0] == 0


@pytest.mark.parametrize("shape", [(11,), (4, 13), ()])
def test_an_input_of_another_width_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="last dimension must be 12"):
        SparseCascade(small())(torch.zeros(shape))


def test_the_first_weights_follow_the_generator_or_the_global_seed() -> None:
    cascade = SparseCascade(small())
    draws = []
    for seed in (1, 1, 2):
        cascade.reset_parameters(np.random.default_rng(seed))
        draws.append(cascade.edge_weight.detach().clone())
        torch.manual_seed(seed)
        draws.append(SparseCascade(small()).edge_weight.detach())
    assert torch.equal(draws[0], draws[2])
    assert torch.equal(draws[1], draws[3])
    assert not torch.equal(draws[0], draws[4])
    assert not torch.equal(draws[1], draws[5])
    assert torch.equal(cascade.bias, torch.zeros(12))


def test_print_shows_the_sizes() -> None:
    assert "in_features=12, out_features=12, depth=3, trainable=72, constant=36, bias=True" in repr(
        SparseCascade(small())
    )


def test_built_from_a_file_or_an_expression(tmp_path: Path) -> None:
    path = small().save(tmp_path / "champion.safetensors")
    for source in (path, str(path)):
        assert SparseCascade(source).topology == small()
    assert SparseCascade("dense(3, 4)").topology.n_trainable == 12


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (100, "100 is no topology: so many edges make one where a layer's sizes are known"),
        (0.1, "did you mean density=0.1"),
        (None, "a NoneType is no topology"),
        ([[[1, 2], [2, 1]]], "a list is no topology"),
    ],
)
def test_what_is_no_topology_is_refused_in_one_line(source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        SparseCascade(source)
    assert "\n" not in str(caught.value)


def test_replace_linear_keeps_the_bias_the_dtype_and_the_mode() -> None:
    linear = nn.Linear(12, 12, dtype=torch.float64).eval()
    cascade = replace_linear(linear, small())
    assert cascade.edge_weight.dtype == torch.float64
    assert not cascade.training
    assert torch.equal(cascade.bias, linear.bias)
    assert cascade.bias is not linear.bias
    assert replace_linear(nn.Linear(12, 12, bias=False), small()).bias is None


def test_replace_linear_refuses_other_sizes() -> None:
    with pytest.raises(ValueError, match="the topology is 12 x 12 but the layer is 12 x 10"):
        replace_linear(nn.Linear(12, 10), small())


@pytest.mark.parametrize("cast", [lambda tensor: tensor, Tensor.bfloat16, Tensor.half, Tensor.double])
def test_checkpoints_of_release_0_1(cast: Callable[[Tensor], Tensor]) -> None:
    """They hold a fingerprint of 32 whole numbers."""
    old = SparseCascade(small())
    digest = hashlib.sha256(pack(small())).digest()
    weights = {
        "0.edge_weight": old.edge_weight.detach(),
        "0.bias": torch.ones(12),
        "0.fingerprint": torch.tensor(list(digest), dtype=torch.uint8),
    }
    weights = {name: cast(tensor) for name, tensor in weights.items()}
    new = nn.Sequential(SparseCascade(small()))
    new.load_state_dict(weights)
    torch.testing.assert_close(new[0].edge_weight, weights["0.edge_weight"].float())
    with pytest.raises(ValueError, match="another topology"):
        new.load_state_dict({**weights, "0.fingerprint": cast(torch.tensor(list(digest)[::-1]))})
