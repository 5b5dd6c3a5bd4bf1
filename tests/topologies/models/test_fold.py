"""A folded model: plain torch, the same numbers, and the original as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

import topologies.models as tm
from tests.topologies.models.small_models import INPUTS, Tied, mlp, mobile, transformer
from topologies import butterfly


@pytest.mark.parametrize("build", [mlp, mobile, transformer])
@pytest.mark.parametrize("train", [True, False])
def test_computes_the_same_in_plain_torch(build: Callable[[], nn.Module], train: bool) -> None:
    model = tm.convert(build(), density=0.4).double().train(train)
    before, modules = copy.deepcopy(model.state_dict()), list(model.modules())
    folded = tm.fold(model)
    assert list(model.modules()) == modules
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [type(module) for module in folded.modules()] == [type(module) for module in build().modules()]
    assert {module.training for module in folded.modules()} == {train}
    x = torch.randn(INPUTS[build], dtype=torch.float64)
    torch.testing.assert_close(folded(x), model(x))
    shared = {one.data_ptr() for one in folded.parameters()} & {one.data_ptr() for one in model.parameters()}
    assert not shared - {0}


def test_a_folded_model_has_the_state_dict_of_the_dense_one() -> None:
    folded = tm.fold(tm.convert(mobile(), density=0.4))
    assert {name: tensor.shape for name, tensor in folded.state_dict().items()} == {
        name: tensor.shape for name, tensor in mobile().state_dict().items()
    }


def test_hooks_frozen_parameters_and_the_dtype_are_kept() -> None:
    model, called = tm.convert(mlp().bfloat16(), density=0.4), []
    model[0].edge_weight.requires_grad_(False)
    model[2].bias.requires_grad_(False)
    model[0].register_forward_hook(lambda layer, args, y: called.append(type(layer)))
    folded = tm.fold(model)
    folded(torch.randn(INPUTS[mlp], dtype=torch.bfloat16))
    assert called == [nn.Linear]
    assert [folded[0].weight.requires_grad, folded[0].bias.requires_grad] == [False, True]
    assert [folded[2].weight.requires_grad, folded[2].bias.requires_grad] == [True, False]
    assert {parameter.dtype for parameter in folded.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("is_computed", [False, True])
def test_every_kind_of_layer_folds_frozen_where_it_is_frozen(is_computed: bool) -> None:
    kinds = nn.Linear(48, 48), nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 3), nn.MultiheadAttention(16, 4), nn.GRU(16, 16)
    model = tm.convert(nn.Sequential(*kinds), density=0.5)
    assert len(tm.plan(model, density=0.5).skipped) == len(kinds)  # all are sparse
    if is_computed:
        for cascade in [one for one in model.modules() if isinstance(one, tm.SparseCascade)]:
            nn.utils.parametrizations.weight_norm(cascade, "edge_weight")
    for frozen in (True, False):
        for mode in (torch.enable_grad, torch.no_grad):
            with mode():
                folded = tm.fold(model.requires_grad_(not frozen))
            assert not [name for name, one in folded.named_parameters() if one.requires_grad == frozen]


def test_what_was_shared_stays_shared() -> None:
    folded = tm.fold(tm.convert(Tied(), density=0.4))
    assert folded.first is folded.second and type(folded.first) is nn.Linear
    assert folded.head.weight is folded.embedding.weight
    model = tm.convert(nn.Sequential(nn.Linear(48, 48), nn.Linear(48, 48)), density=0.4)
    model[1].edge_weight = model[0].edge_weight
    model[1].bias = model[0].bias
    folded = tm.fold(model)
    assert folded[0].weight is folded[1].weight and folded[0].bias is folded[1].bias
    torch.testing.assert_close(folded(torch.ones(2, 48)), model(torch.ones(2, 48)))


def test_reparametrised_edges_fold_to_what_they_compute() -> None:
    model = tm.convert(nn.Sequential(nn.Linear(48, 48)), density=0.4)
    nn.utils.parametrizations.weight_norm(model[0], "edge_weight")
    folded = tm.fold(model)
    assert type(folded[0]) is nn.Linear
    torch.testing.assert_close(folded(torch.ones(2, 48)), model(torch.ones(2, 48)))


def test_reparametrised_layers_of_one_topology_keep_each_its_own_weights() -> None:
    topology = butterfly(16, 8)
    model = nn.Sequential(*(tm.SparseCascade(topology) for _ in range(20)))
    for cascade in model:
        nn.utils.parametrizations.weight_norm(cascade, "edge_weight", dim=None)
    for linear, cascade in zip(tm.fold(model), model, strict=True):
        torch.testing.assert_close(linear.weight, cascade.dense().T)


def test_a_layer_alone_and_a_model_without_any() -> None:
    assert type(tm.fold(tm.convert(nn.Linear(48, 48), density=0.4))) is nn.Linear
    model = mlp()
    assert tm.fold(model) is not model


def test_folded_models_are_scripted_and_quantised() -> None:
    folded = tm.fold(tm.convert(mlp(), density=0.4)).eval()
    x = torch.randn(INPUTS[mlp])
    torch.testing.assert_close(torch.jit.script(folded)(x), folded(x))
    if not set(torch.backends.quantized.supported_engines) - {"none"}:
        pytest.skip("PyTorch was built without quantisation")
    quantised = torch.ao.quantization.quantize_dynamic(folded, {nn.Linear}, torch.qint8)
    assert "DynamicQuantizedLinear" in repr(quantised)
    torch.testing.assert_close(quantised(x), folded(x), atol=0.2, rtol=0.2)
