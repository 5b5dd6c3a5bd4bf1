"""A converted model: what is new in it, what it kept, and that a conversion happens whole or not at all."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import topologies.models as tm
from tests.topologies.models.small_models import INPUTS, Tied, mlp, mobile, transformer
from topologies import butterfly, random_regular
from topologies.models import cascade
from topologies.topology import Topology

every_model = pytest.mark.parametrize("build", [mlp, mobile, transformer])


def sparse_layers(model: nn.Module) -> dict[str, nn.Module]:
    kinds = tm.SparseCascade, tm.SparseConv1x1
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, kinds) and "cascade" not in name}


def fit(topology: Topology, matrix: Any) -> Any:
    """Weights that are told from a fresh draw."""
    return SimpleNamespace(weights=np.full(topology.n_trainable, 0.5, np.float32))


@every_model
def test_it_computes_trains_and_every_parameter_has_a_gradient(build: Callable[[], nn.Module]) -> None:
    model = build()
    assert tm.convert(model, density=0.4) is model
    assert sparse_layers(model)
    x = torch.randn(INPUTS[build])
    assert model(x).shape == build()(x).shape
    optimizer = torch.optim.AdamW(tm.parameter_groups(model, lr=3e-3))
    losses = []
    target = torch.randn_like(model(x))
    for _ in range(12):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), target)
        loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@every_model
def test_equal_seeds_give_equal_models(build: Callable[[], nn.Module]) -> None:
    dense = build()
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(tm.convert(copy.deepcopy(dense), density=0.4).state_dict())
    first, again, other = found
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_by_a_plan_that_was_made_before() -> None:
    model = mlp()
    plan = tm.plan(model, density=0.4, exclude=["2"])
    tm.convert(model, plan)
    assert set(sparse_layers(model)) == {"0"}
    assert model[0].topology == plan.changes[0].topology
    with pytest.raises(ValueError, match="a plan is complete: give exclude to plan"):
        tm.convert(mlp(), plan, exclude=["0"])


def test_by_a_file_that_is_lifted(tmp_path: Path) -> None:
    path = random_regular(8, 8, 12, 5, 4).save(tmp_path / "champion.safetensors")
    model = transformer()
    tm.convert(model, str(path), targets=r"layers\.\d+\.linear\d", lift=True)
    layers = sparse_layers(model)
    assert {(layer.in_features, layer.out_features) for layer in layers.values()} == {(32, 64), (64, 32)}
    assert all(layer.topology.depth == 5 for layer in layers.values())
    assert (
        tm.plan(transformer(), path, targets=["linear1"], lift=True).changes[0].text == "champion.safetensors, lifted"
    )
    with pytest.raises(ValueError, match=r"layers.0.linear1: the topology is 8 x 8 .* lift=True"):
        tm.convert(transformer(), path, targets=["linear1"])


class TestKept:
    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
    def test_dtype_bias_mode_and_what_is_frozen(self, dtype: torch.dtype) -> None:
        model = mobile().to(dtype)
        nn.init.normal_(model[3][2].bias)
        model[1].eval()
        model[2].pointwise.weight.requires_grad_(False)
        model[3][2].bias.requires_grad_(False)
        bias = model[3][2].bias.clone()
        tm.convert(model, density=0.4, weights=fit)
        assert {parameter.dtype for parameter in model.parameters()} == {dtype}
        assert torch.equal(model[3][2].bias, bias)
        assert (model[1].pointwise.training, model[1].pointwise.cascade.training) == (False, False)
        assert model[2].pointwise.training
        assert not model[2].pointwise.cascade.edge_weight.requires_grad
        assert model[1].pointwise.cascade.edge_weight.requires_grad
        assert not model[3][2].bias.requires_grad and model[3][2].edge_weight.requires_grad

    def test_frozen_layers_whose_weights_would_be_lost(self) -> None:
        model = mlp()
        model[0].weight.requires_grad_(False)
        trained = model[0]
        late = tm.plan(mlp(), density=0.4)
        with pytest.raises(ValueError, match="0: it is frozen, so that its edges would never be trained"):
            tm.convert(model, late)
        assert tm.convert(model, density=0.4)[0] is trained
        assert set(sparse_layers(model)) == {"2"}
        with pytest.raises(ValueError, match=r"no layer can be made sparse: 0: it is frozen.* give weights=fit"):
            tm.convert(model, density=0.4, targets=["0"])
        plan = tm.plan(model, density=0.4, targets=["0"], weights=fit)
        assert (tm.convert(model, plan, weights=fit)[0].edge_weight == 0.5).all()

    def test_a_layer_that_computes_in_a_way_of_its_own_since_the_plan(self, tmp_path: Path) -> None:
        model, before = mlp(), mlp()
        plan, replaced = tm.plan(model, density=0.4), model[0]
        replaced.forward = lambda x: 2 * nn.Linear.forward(replaced, x)
        with pytest.raises(ValueError, match="0: its forward was replaced, so it computes in a way of its own"):
            tm.convert(model, plan)
        tm.save(tm.convert(before, density=0.4), tmp_path)
        with pytest.raises(ValueError, match="0: its forward was replaced, so it computes in a way of its own"):
            tm.load(model, tmp_path)
        assert model[0] is replaced

    def test_the_meta_device(self) -> None:
        with torch.device("meta"):
            model = mobile()
        model[2].requires_grad_(False)
        tm.convert(model, density=0.4)
        assert not model[2].pointwise.cascade.edge_weight.requires_grad
        assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}
        assert model(torch.empty(INPUTS[mobile], device="meta")).shape == (2, 10)

    def test_hooks_and_the_handles_that_remove_them(self) -> None:
        model, called = mlp(), []
        handles = [
            model[0].register_forward_pre_hook(lambda layer, args: called.append("before")),
            model[0].register_forward_hook(
                lambda layer, args, kwargs, y: called.append(type(layer).__name__), with_kwargs=True
            ),
            model[0].register_full_backward_hook(lambda layer, back, given: called.append("back")),
        ]
        tm.convert(model, density=0.4)
        x = torch.randn(INPUTS[mlp], requires_grad=True)
        model(x).sum().backward()
        assert called == ["before", "SparseCascade", "back"]
        for handle in handles:
            handle.remove()
        called.clear()
        model(x).sum().backward()
        assert called == []

    @pytest.mark.parametrize(
        ("layer", "shape"),
        [
            (nn.Linear(48, 64), (5, 48)),
            (nn.Conv2d(16, 32, 1), (2, 16, 4, 4)),
            (nn.Conv2d(16, 32, 3), (2, 16, 4, 4)),
            (nn.LSTM(16, 16), (3, 2, 16)),
            (nn.GRU(16, 16), (3, 2, 16)),
        ],
    )
    def test_the_names_of_arguments(self, layer: nn.Module, shape: tuple[int, ...]) -> None:
        x = torch.randn(shape)
        sparse = tm.convert(copy.deepcopy(layer), density=0.5)
        found, expected = (y[0] if isinstance(y, tuple) else y for y in (sparse(input=x), tm.fold(sparse)(input=x)))
        torch.testing.assert_close(found, expected)

    def test_a_module_at_several_places_is_replaced_once_and_tied_weights_stay_tied(self) -> None:
        model = tm.convert(Tied(), density=0.4)
        assert model.first is model.second
        assert isinstance(model.first, tm.SparseCascade)
        assert model.head.weight is model.embedding.weight
        assert len(list(model.parameters())) == 3
        model(torch.tensor([[1, 2, 3]])).sum().backward()

    def test_a_model_that_is_a_layer_is_returned_converted(self) -> None:
        layer = nn.Linear(48, 64).eval()
        sparse = tm.convert(layer, density=0.4)
        assert isinstance(sparse, tm.SparseCascade) and not sparse.training
        assert isinstance(layer, nn.Linear)


def test_the_fast_path_of_transformers_gives_the_numbers_of_the_training_path() -> None:
    """In eval mode without gradients torch reads the weights of linear1 and linear2 itself, of nn.Linear."""
    model = tm.convert(transformer(), density=0.4)
    x = torch.randn(INPUTS[transformer])
    padding = torch.zeros(x.shape[:2], dtype=torch.bool)
    padding[1, 4:] = True
    for mask in (None, padding):
        seen = slice(None) if mask is None else ~mask
        trained = model.train()(x, src_key_padding_mask=mask)
        with torch.no_grad():
            torch.testing.assert_close(model.eval()(x, src_key_padding_mask=mask)[seen], trained[seen])


class TestNothingChangesWhere:
    def snapshot(self, model: nn.Module) -> tuple[list[nn.Module], dict[str, torch.Tensor]]:
        return list(model.modules()), copy.deepcopy(model.state_dict())

    def same(self, model: nn.Module, before: tuple[list[nn.Module], dict[str, torch.Tensor]]) -> bool:
        modules, state = before
        return list(model.modules()) == modules and all(
            torch.equal(state[name], tensor) for name, tensor in model.state_dict().items()
        )

    def test_the_last_layer_cannot_be_built(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model = mlp()
        plan = tm.plan(model, density=0.4)
        before, built = self.snapshot(model), []

        true_draw = cascade.initial_weights

        def fails_at_last(topology: Any, generator: np.random.Generator) -> Any:
            built.append(topology)
            if len(built) == len(plan.changes):
                raise MemoryError
            return true_draw(topology, generator)

        monkeypatch.setattr(cascade, "initial_weights", fails_at_last)
        with pytest.raises(MemoryError):
            tm.convert(model, plan)
        assert len(built) == 2
        assert self.same(model, before)

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            (lambda: nn.Sequential(nn.ReLU(), nn.ReLU()), "the plan was made for another model: 0 is ReLU"),
            (lambda: nn.Sequential(nn.Linear(48, 64)), "another model: this one has no layer 2"),
            (
                lambda: nn.Sequential(nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 48)),
                "2 is Linear.*not a Linear of 64 x 96",
            ),
            (lambda: tm.convert(mlp(), density=0.4), "0 is SparseCascade"),
        ],
    )
    def test_the_plan_is_of_another_model(self, other: Callable[[], nn.Module], message: str) -> None:
        model = other()
        before = self.snapshot(model)
        with pytest.raises(ValueError, match=message):
            tm.convert(model, tm.plan(mlp(), density=0.4))
        assert self.same(model, before)

    def test_no_layer_can_be_sparse(self) -> None:
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        before = self.snapshot(model)
        with pytest.raises(ValueError, match=r"no layer can be made sparse: 0: .* it needs .*; and 1 others"):
            tm.convert(model, density=0.1)
        assert self.same(model, before)
        with pytest.raises(ValueError, match="the model has no layer that is a matrix"):
            tm.convert(nn.Sequential(nn.ReLU()), density=0.1)
        tm.convert(model, butterfly(4, 2), targets=["0"], only_if_faster=True)
        assert self.same(model, before)

    def test_the_model_is_wrapped_already(self) -> None:
        wrapped = nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel)
        with pytest.raises(ValueError, match="convert it before that"):
            tm.convert(wrapped, density=0.1)


def test_the_public_names() -> None:
    assert all(callable(getattr(tm, name)) for name in tm.__all__)
    assert set(tm.__all__) >= {
        "plan", "convert", "save", "load", "fold", "parameter_groups", "SparseCascade", "SparseConv1x1",
        "replace_linear",
    }  # fmt: skip
