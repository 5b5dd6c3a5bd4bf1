"""Rivals of sparse layers beside plain references: the hash looked up in a table, circulant blocks built by scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import circulant
from torch import Tensor, nn

from topologies import clos, dense
from topologies.models.circulant import BlockCirculantLinear, block_of
from topologies.models.hashed import HashedLinear
from topologies.testing.layers.layer import Parameters
from topologies.testing.layers.numbers import Numbers
from topologies.testing.layers.precision import Precision
from topologies.testing.layers.weights import WithoutMemory
from topologies.topology import Topology

SIZES = {"square": dense(16, 16), "not square": clos(20, 4, 3, 5, n_out=13)}


class Rival(Numbers, Precision, WithoutMemory):
    """What is the same of both: the layer's size is all that a topology is asked for."""

    test_who_gives_an_input_of_another_kind_is_told = None  # they promise nothing beside PyTorch's own words
    test_weights_are_real = None
    test_weights_that_became_complex_are_refused = None
    test_then_sharded = None  # which wants a process group

    topologies = SIZES  # type: ignore[assignment]
    batches = ((0,), (5,), (2, 3))
    same_bits = False

    def inputs(self, module: nn.Module, *batch: int) -> Tensor:
        """Standard normal numbers."""
        like = next(module.parameters())
        return torch.randn(*batch, int(module.in_features), dtype=like.dtype, device=like.device)  # type: ignore[arg-type]

    def fold(self, module: nn.Module) -> nn.Module:
        """An ordinary layer with the matrix."""
        linear = nn.Linear(module.in_features, module.out_features, module.bias is not None)  # type: ignore[arg-type]
        linear = linear.to(next(module.parameters()).dtype)
        with torch.no_grad():
            linear.weight.copy_(module.dense().T)  # type: ignore[operator]
            if module.bias is not None:
                linear.bias.copy_(module.bias)  # type: ignore[arg-type]
        return linear


class TestHashedLinear(Rival):
    """A hash of every place, written out with Python's whole numbers."""

    def build(self, topology: Topology, way: str | None, **options: Any) -> HashedLinear:
        """With a fifth of a dense layer's parameters."""
        return HashedLinear(topology.n_in, topology.n_out, topology.n_in * topology.n_out // 5, **options)

    def dense_weights(self, module: nn.Module, parameters: Parameters) -> Parameters:
        """Entry by entry."""
        weight = parameters["hashed_weight"]
        rows = [
            torch.stack([_hashed(weight, i * module.out_features + j) for j in range(module.out_features)])  # type: ignore[operator, arg-type]
            for i in range(module.in_features)  # type: ignore[arg-type]
        ]
        twin = {"weight": torch.stack(rows).T}
        return twin if module.bias is None else {**twin, "bias": parameters["bias"]}


class TestBlockCirculantLinear(Rival):
    """Blocks by scipy, padded with what is cut off."""

    def build(self, topology: Topology, way: str | None, **options: Any) -> BlockCirculantLinear:
        """In blocks that fill the sides of the first layer and not those of the other."""
        return BlockCirculantLinear(topology.n_in, topology.n_out, 4, **options)

    def dense_weights(self, module: nn.Module, parameters: Parameters) -> Parameters:
        """``circulant(w)`` has w as its first column; ours has it as first row."""
        weight = parameters["circulant_weight"]
        down, across, block = weight.shape
        pattern = torch.from_numpy(circulant(np.arange(block)).T.copy())
        rows = [torch.cat([weight[i, j][pattern] for j in range(across)], dim=1) for i in range(down)]
        twin = {"weight": torch.cat(rows)[: module.in_features, : module.out_features].T}  # type: ignore[misc]
        return twin if module.bias is None else {**twin, "bias": parameters["bias"]}


def _hashed(weight: Tensor, number: int) -> Tensor:
    """SplitMix64 of a weight's number, after its published code."""
    mask = 2**64 - 1
    state = (number + 1) * 0x9E3779B97F4A7C15 & mask
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
    state = (state ^ state >> 27) * 0x94D049BB133111EB & mask
    state ^= state >> 31
    return weight[(state & 2**63 - 1) % len(weight)] * (1 if state >> 63 else -1)


@pytest.mark.parametrize("layer", [HashedLinear(5, 6, 9), BlockCirculantLinear(5, 6, 4)], ids=["hashed", "circulant"])
def test_derivatives_of_any_order(layer: nn.Module) -> None:
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    weights = [one.detach().requires_grad_() for one in layer.double().parameters()]
    names = [name for name, _ in layer.named_parameters()]

    def apply(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,))

    assert torch.autograd.gradcheck(apply, (x, *weights))
    assert torch.autograd.gradgradcheck(apply, (x, *weights))


def test_every_parameter_is_used_about_equally_and_signs_are_even() -> None:
    layer = HashedLinear(100, 80, 40)
    layer.hashed_weight.data.fill_(1.0)
    assert abs(float(layer.dense().mean())) < 0.05
    counts = np.bincount(layer.get_buffer("_places").numpy(), minlength=40)
    assert counts.min() > 150 and counts.max() < 250  # 200 each in the mean


def test_a_checkpoint_holds_parameters_alone_and_another_seed_is_another_hash() -> None:
    assert set(HashedLinear(8, 8, 4).state_dict()) == {"hashed_weight", "bias"}
    one, other = HashedLinear(8, 8, 4), HashedLinear(8, 8, 4, seed=1)
    other.load_state_dict(one.state_dict())
    assert not torch.equal(one.dense(), other.dense())


def test_hashes_are_there_once_a_layer_has_memory_also_where_its_parameters_are_copied_one_by_one() -> None:
    trained, layer = HashedLinear(8, 8, 4), HashedLinear(8, 8, 4, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        for new, old in zip(layer.parameters(), trained.parameters(), strict=True):
            new.copy_(old)
    assert torch.equal(layer.dense(), trained.dense())


@pytest.mark.parametrize(("n_in", "n_out", "parameters"), [(16, 16, 64), (20, 13, 100), (7, 90, 90), (784, 256, 3136)])
def test_the_smallest_block_within_a_budget(n_in: int, n_out: int, parameters: int) -> None:
    block = block_of(n_in, n_out, parameters)
    assert BlockCirculantLinear(n_in, n_out, block).circulant_weight.numel() <= parameters
    if block > 1:
        assert BlockCirculantLinear(n_in, n_out, block - 1).circulant_weight.numel() > parameters


def test_what_cannot_be_built_is_said() -> None:
    with pytest.raises(ValueError, match=r"parameters = 65: from 1 to"):
        HashedLinear(8, 8, 65)
    with pytest.raises(ValueError, match="block = 0"):
        BlockCirculantLinear(8, 8, 0)
    with pytest.raises(ValueError, match="a circulant 8 x 5 layer has at least 8"):
        block_of(8, 5, 7)
