"""SparseCascade against dense masked layers multiplied out in numpy, and against what nn.Linear does."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.topologies.models.cascades import FEW, MANY, product, random_topology, saved, small
from topologies.canonical import renumber
from topologies.models.cascade import SparseCascade
from topologies.models.replace import replace_linear
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


@pytest.mark.parametrize("rows", [FEW, MANY])
def test_gradients_are_those_of_the_masked_layers(rows: int) -> None:
    cascade = SparseCascade(small(), dtype=torch.float64)
    x = torch.randn(rows, 12, dtype=torch.float64, requires_grad=True)
    target = torch.randn(rows, 12, dtype=torch.float64)
    ((cascade(x) - target) ** 2).sum().backward()

    masks = [torch.from_numpy(mask).double() for mask in cascade.topology.masks()]
    layers = [(mask == 2).double() for mask in masks]
    for layer, mask, weights in zip(layers, masks, cascade.edge_weight.detach().split(24), strict=True):
        layer.T[mask.T == 1] = weights
        layer.requires_grad_()
    again = x.detach().clone().requires_grad_()
    (((again @ layers[0] @ layers[1] @ layers[2]) - target) ** 2).sum().backward()

    expected = torch.cat([layer.grad.T[mask.T == 1] for layer, mask in zip(layers, masks, strict=True)])
    torch.testing.assert_close(cascade.edge_weight.grad, expected)
    torch.testing.assert_close(x.grad, again.grad)


@pytest.mark.parametrize("rows", [1, FEW, 8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gradcheck(rows: int, seed: int) -> None:
    cascade = SparseCascade(random_topology(seed, n_in=3, n_out=4), dtype=torch.float64)
    x = torch.randn(rows, 3, dtype=torch.float64, requires_grad=True)
    parameters = dict(cascade.named_parameters())

    def apply(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(cascade, dict(zip(parameters, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(apply, (x, *parameters.values()))


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


@pytest.mark.parametrize("shape", [(), (1,), (5,), (0,), (2, 3), (2, 0, 3), (70, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_any_batch_shape(shape: tuple[int, ...], bias: bool) -> None:
    cascade = SparseCascade(small(), bias=bias)
    linear = cascade.to_linear()
    x = torch.randn(*shape, 12)
    y = cascade(x)
    torch.testing.assert_close(y, linear(x))
    assert y.is_contiguous()
    y.sum().backward()
    assert cascade.edge_weight.grad is not None
    assert cascade.edge_weight.grad.isfinite().all()


def test_an_input_that_is_not_contiguous() -> None:
    cascade = SparseCascade(small())
    x = torch.randn(12, 3).T
    torch.testing.assert_close(cascade(x), cascade(x.contiguous()))


@pytest.mark.parametrize("shape", [(11,), (4, 13), ()])
def test_an_input_of_another_width_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="last dimension must be 12"):
        SparseCascade(small())(torch.zeros(shape))


@pytest.mark.parametrize("rows", [FEW, MANY])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float16, 5e-3), (torch.bfloat16, 4e-2), (torch.float32, 1e-5), (torch.float64, 1e-9)],
)
def test_dtypes(dtype: torch.dtype, tolerance: float, rows: int) -> None:
    cascade = SparseCascade(small(), dtype=dtype)
    x = torch.randn(rows, 12, dtype=dtype)
    y = cascade(x)
    expected = x.double().numpy() @ product(cascade)
    assert y.dtype == dtype
    assert np.abs(y.detach().double().numpy() - expected).max() < tolerance * np.abs(expected).max()
    y.sum().backward()
    assert cascade.edge_weight.grad is not None
    assert cascade.edge_weight.grad.dtype == dtype


@pytest.mark.parametrize("move", ["half", "bfloat16", "double"])
def test_moving_to_another_dtype(move: str) -> None:
    cascade = getattr(SparseCascade(small()), move)()
    dtype = cascade.edge_weight.dtype
    assert dtype == getattr(torch, move)
    assert cascade(torch.ones(FEW, 12, dtype=dtype)).dtype == cascade(torch.ones(MANY, 12, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("rows", [0, FEW, MANY])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_autocast_gives_what_a_linear_layer_gives(rows: int, dtype: torch.dtype) -> None:
    cascade = SparseCascade(small(), dtype=dtype)
    x = torch.randn(rows, 12, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, reference = cascade(x), cascade.to_linear()(x)
    assert y.dtype == reference.dtype
    torch.testing.assert_close(y, reference, rtol=0.05, atol=0.05)


def test_everything_moves_between_devices() -> None:
    cascade = SparseCascade(small(), device="meta", dtype=torch.float64)
    assert {tensor.device.type for tensor in (*cascade.parameters(), *cascade.buffers())} == {"meta"}
    assert cascade(torch.empty(5, 12, device="meta", dtype=torch.float64)).shape == (5, 12)
    if torch.cuda.is_available():
        there = SparseCascade(small(), dtype=torch.float64).to("cuda")
        for rows in (0, FEW, MANY):
            x = torch.randn(rows, 12, dtype=torch.float64)
            torch.testing.assert_close(there(x.cuda()).cpu(), copy.deepcopy(there).cpu()(x))


@pytest.mark.parametrize("bias", [True, False])
def test_state_dict_round_trip(bias: bool) -> None:
    old, new = SparseCascade(small(), bias=bias), SparseCascade(small(), bias=bias)
    x = torch.randn(FEW, 12)
    assert not torch.equal(old(x), new(x))
    new.load_state_dict(torch.load(saved(old)))
    assert torch.equal(old(x), new(x))


def test_a_safetensors_checkpoint_of_a_model_round_trips(tmp_path: Path) -> None:
    old, new = (nn.Sequential(nn.Linear(5, 12), SparseCascade(small())) for _ in range(2))
    save_file(old.state_dict(), tmp_path / "model.safetensors")
    new.load_state_dict(load_file(tmp_path / "model.safetensors"))
    x = torch.randn(FEW, 5)
    assert torch.equal(old(x), new(x))


@pytest.mark.parametrize("strict", [True, False])
def test_weights_of_another_topology_are_refused_and_change_nothing(strict: bool) -> None:
    """The same hidden neurons in another order have as many weights, but the weights belong to other edges."""
    other = renumber(small(), [np.arange(12)[::-1], np.arange(12)])
    model, checkpoint = nn.Sequential(SparseCascade(small())), nn.Sequential(SparseCascade(other))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="another topology"):
        model.load_state_dict(checkpoint.state_dict(), strict=strict)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_the_weights_of_a_dense_layer_are_refused() -> None:
    with pytest.raises(RuntimeError, match="edge_weight"):
        SparseCascade(small()).load_state_dict(nn.Linear(12, 12).state_dict())


def test_a_deep_copy_is_independent() -> None:
    cascade = SparseCascade(small())
    twin = copy.deepcopy(cascade)
    x = torch.randn(FEW, 12)
    before = cascade(x)
    assert torch.equal(twin(x), before)
    with torch.no_grad():
        twin.edge_weight.zero_()
    assert torch.equal(cascade(x), before)
    assert not torch.equal(twin(x), before)
    twin.load_state_dict(cascade.state_dict())
    assert torch.equal(twin(x), before)


@fast
@given(st.integers(0, 2**32), st.booleans())
def test_folds_into_an_ordinary_linear_layer(seed: int, bias: bool) -> None:
    cascade = SparseCascade(random_topology(seed), bias=bias, dtype=torch.float64)
    linear = cascade.to_linear()
    x = torch.randn(FEW, cascade.in_features, dtype=torch.float64)
    assert type(linear) is nn.Linear
    assert (linear.bias is not None) == bias
    np.testing.assert_allclose(cascade.dense().detach().numpy(), product(cascade), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(linear(x), cascade(x))
    assert not {p.data_ptr() for p in linear.parameters() if p.numel()} & {p.data_ptr() for p in cascade.parameters()}


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


def test_training_brings_the_loss_down() -> None:
    teacher, student = SparseCascade(small(), bias=False), SparseCascade(small())
    optimiser = torch.optim.Adam(student.parameters(), lr=0.03)
    x = torch.randn(64, 12)
    with torch.no_grad():
        y = teacher(x)
    losses = []
    for _ in range(300):
        loss = nn.functional.mse_loss(student(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.02 * losses[0]


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
