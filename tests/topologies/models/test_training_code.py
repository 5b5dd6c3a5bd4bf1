"""A cascade in other people's training code: whatever works on an nn.Linear works on it, or says what to do instead."""

from __future__ import annotations

import copy
import hashlib
import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.topologies.models.cascades import FEW, MANY, product, random_topology, saved, small
from topologies.canonical import renumber
from topologies.models.cascade import SparseCascade
from topologies.packing import pack

Weights = dict[str, Any]


def as_function(cascade: SparseCascade) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    """The cascade as a function of its input and parameters, and the parameters."""
    parameters = dict(cascade.named_parameters())

    def apply(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(cascade, dict(zip(parameters, values, strict=True)), (x,))

    return apply, tuple(parameters.values())


def assert_it_computes_what_its_weights_say(cascade: SparseCascade, tolerance: float = 1e-5) -> None:
    """Both ways of computing, against the masked layers multiplied out."""
    for rows in (1, FEW, MANY):
        x = torch.randn(rows, cascade.in_features).to(cascade.edge_weight)
        expected = x.double().numpy() @ product(cascade)
        if cascade.bias is not None:
            expected = expected + cascade.bias.detach().double().numpy()
        found = cascade(x).detach().double().numpy()
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


class TestDerivatives:
    @pytest.mark.parametrize("rows", [0, 1, FEW, 8, 40])
    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_second_and_forward_derivatives_at_every_size(self, rows: int, seed: int) -> None:
        function, values = as_function(SparseCascade(random_topology(seed, n_in=3, n_out=4), dtype=torch.float64))
        arguments = (torch.randn(rows, 3, dtype=torch.float64, requires_grad=True), *values)
        assert torch.autograd.gradgradcheck(function, arguments, fast_mode=True)
        assert torch.autograd.gradcheck(
            function, arguments, fast_mode=True, check_forward_ad=True, check_batched_grad=True
        )

    @pytest.mark.parametrize("rows", [1, FEW, MANY])
    def test_a_gradient_penalty_trains_the_edges_as_it_would_a_dense_layer(self, rows: int) -> None:
        cascade = SparseCascade(small(), bias=False, dtype=torch.float64)
        x = torch.randn(rows, 12, dtype=torch.float64)

        def penalty(layer: Callable[[Tensor], Tensor]) -> Tensor:
            inputs = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(layer(inputs).pow(3).sum(), inputs, create_graph=True)
            return slope.square().sum()

        (found,) = torch.autograd.grad(penalty(cascade), cascade.edge_weight)
        matrix = cascade.dense()
        (expected,) = torch.autograd.grad(penalty(lambda inputs: inputs @ matrix), cascade.edge_weight)
        torch.testing.assert_close(found, expected)

    @pytest.mark.parametrize("rows", [1, FEW, MANY])
    def test_function_transforms(self, rows: int) -> None:
        cascade = SparseCascade(small(), bias=False, dtype=torch.float64)
        x = torch.randn(rows, 12, dtype=torch.float64)

        def loss(weights: Tensor, x: Tensor) -> Tensor:
            return torch.func.functional_call(cascade, {"edge_weight": weights}, (x,)).square().sum()

        weights = cascade.edge_weight.detach()
        hessian = torch.func.hessian(loss)(weights, x)
        torch.testing.assert_close(hessian, torch.autograd.functional.hessian(lambda one: loss(one, x), weights))
        each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x)
        torch.testing.assert_close(each.sum(dim=0), torch.func.grad(loss)(weights, x))

    @pytest.mark.parametrize("shape", [(12,), (1, 12), (1, 1, 12), (3, 12), (300, 12)])
    @pytest.mark.parametrize("bias", [True, False])
    def test_the_callers_gradient_stays_the_callers(self, shape: tuple[int, ...], bias: bool) -> None:
        cascade = SparseCascade(small(), bias=bias)
        x = torch.randn(shape, requires_grad=True)
        given = torch.randn(shape)
        before = given.clone()
        for _ in range(2):
            cascade(x).backward(given)
        assert torch.equal(given, before)
        once = torch.autograd.grad(cascade(x), [x, *cascade.parameters()], given)
        for parameter, gradient in zip([x, *cascade.parameters()], once, strict=True):
            torch.testing.assert_close(parameter.grad, 2 * gradient)


def garbage(module: nn.Module) -> None:
    """What memory may hold when nobody has written to it, made certain."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data.fill_(77)


def on_meta_by_argument() -> nn.Sequential:
    return nn.Sequential(SparseCascade(small(), device="meta"))


def on_meta_by_context() -> nn.Sequential:
    with torch.device("meta"):
        return nn.Sequential(SparseCascade(small()))


@pytest.mark.parametrize("build", [on_meta_by_argument, on_meta_by_context])
class TestBuiltWithoutMemory:
    def test_then_given_memory_and_first_weights(self, build: Callable[[], nn.Sequential]) -> None:
        model = build().to_empty(device="cpu")
        garbage(model)
        model[0].reset_parameters()
        assert_it_computes_what_its_weights_say(model[0])
        nn.Sequential(SparseCascade(small())).load_state_dict(model.state_dict())

    def test_then_given_memory_and_a_checkpoint(self, build: Callable[[], nn.Sequential]) -> None:
        model, trained = build().to_empty(device="cpu"), nn.Sequential(SparseCascade(small()))
        garbage(model)
        model.load_state_dict(trained.state_dict())
        assert_it_computes_what_its_weights_say(model[0])
        torch.testing.assert_close(model[0].edge_weight, trained[0].edge_weight)

    @pytest.mark.parametrize("first", [torch.no_grad, torch.inference_mode, torch.enable_grad])
    def test_then_given_a_checkpoints_own_tensors(self, build: Callable[[], nn.Sequential], first: Any) -> None:
        model, trained = build(), nn.Sequential(SparseCascade(small()))
        model.load_state_dict(trained.state_dict(), assign=True)
        x = torch.randn(FEW, 12)
        with first():
            assert torch.equal(model(x), trained(x))
        model(x).sum().backward()
        assert model[0].edge_weight.grad is not None

    def test_then_sharded(self, build: Callable[[], nn.Sequential], one_process: Any) -> None:
        from torch.distributed.fsdp import fully_shard

        model = build()
        fully_shard(model, mesh=one_process)
        model.to_empty(device="cpu")
        torch.manual_seed(3)
        model[0].reset_parameters()
        torch.manual_seed(3)
        alone = SparseCascade(small())
        x = torch.randn(FEW, 12)
        torch.testing.assert_close(model(x), alone(x))
        model(x).sum().backward()


@pytest.fixture
def one_process() -> Iterator[Any]:
    """A device mesh of this process alone."""
    if not dist.is_available():
        pytest.skip("PyTorch was built without torch.distributed")
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield dist.device_mesh.init_device_mesh("cpu", (1,))
    finally:
        dist.destroy_process_group()


def ema(decay: float) -> Callable[[list[Weights]], Weights]:
    """The running average that many recipes keep of every tensor of a state_dict."""

    def average(checkpoints: list[Weights]) -> Weights:
        running = {name: tensor.clone() for name, tensor in checkpoints[0].items()}
        for checkpoint in checkpoints[1:] * 40:
            for name, tensor in running.items():
                tensor.mul_(decay).add_(checkpoint[name], alpha=1 - decay)
        return running

    return average


AVERAGES: dict[str, Callable[[list[Weights]], Weights]] = {
    "ema 0.9": ema(0.9),
    "ema 0.9999": ema(0.9999),
    "mean": lambda all_: {name: torch.stack([one[name] for one in all_]).mean(0) for name in all_[0]},
    "sum": lambda all_: {name: sum(one[name] for one in all_ * 30) for name in all_[0]},
    "sum in halves": lambda all_: {name: sum(one[name].half() for one in all_ * 30) for name in all_[0]},
    "lerp": lambda all_: {name: torch.lerp(all_[0][name], all_[1][name], 0.3) for name in all_[0]},
    "bf16": lambda all_: {name: tensor.bfloat16() for name, tensor in all_[0].items()},
    "half": lambda all_: {name: tensor.half() for name, tensor in all_[0].items()},
    "float8": lambda all_: {name: tensor.to(torch.float8_e4m3fn).float() for name, tensor in all_[0].items()},
}


class TestAveragedOrCast:
    @pytest.mark.parametrize("decay", [None, 0.9, 0.99, 0.9999])
    @pytest.mark.parametrize("bias", [True, False])
    def test_an_averaged_model_has_the_averaged_weights(self, decay: float | None, bias: bool) -> None:
        model = nn.Sequential(SparseCascade(small(), bias=bias), nn.BatchNorm1d(12))
        average = None if decay is None else get_ema_multi_avg_fn(decay)
        averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
        running = model[0].edge_weight.detach().double()
        for step in range(20):
            model[0].reset_parameters()
            averaged.update_parameters(model)
            kept = step / (step + 1) if decay is None else decay if step else 0.0
            running = kept * running + (1 - kept) * model[0].edge_weight.detach().double()
        cascade = averaged.module[0]
        torch.testing.assert_close(cascade.edge_weight.double(), running, rtol=1e-4, atol=1e-5)
        assert_it_computes_what_its_weights_say(cascade)
        model.load_state_dict(averaged.module.state_dict())
        torch.testing.assert_close(model[0].edge_weight, cascade.edge_weight)

    @pytest.mark.parametrize("name", AVERAGES)
    def test_averaged_checkpoints_load_into_their_topology_and_into_no_other(self, name: str) -> None:
        models = [nn.Sequential(SparseCascade(small())) for _ in range(4)]
        weights = AVERAGES[name]([model.state_dict() for model in models])
        models[0].load_state_dict(weights)
        torch.testing.assert_close(models[0][0].edge_weight, weights["0.edge_weight"].float())
        assert_it_computes_what_its_weights_say(models[0][0])
        other = nn.Sequential(SparseCascade(renumber(small(), [np.arange(12)[::-1], np.arange(12)])))
        with pytest.raises(ValueError, match="another topology"):
            other.load_state_dict(weights)

    @pytest.mark.parametrize("casts", [["half"], ["bfloat16"], ["bfloat16", "float"], ["half", "double"], ["double"]])
    def test_a_cast_model_computes_what_its_weights_say(self, casts: list[str]) -> None:
        cascade = SparseCascade(small())
        for cast in casts:
            cascade = getattr(cascade, cast)()
        exact = cascade.edge_weight.dtype in (torch.float32, torch.float64)
        assert_it_computes_what_its_weights_say(cascade, 1e-5 if exact else 0.05)
        SparseCascade(small()).load_state_dict(cascade.state_dict())

    @pytest.mark.parametrize("cast", [lambda tensor: tensor, Tensor.bfloat16, Tensor.half, Tensor.double])
    def test_checkpoints_of_release_0_1(self, cast: Callable[[Tensor], Tensor]) -> None:
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

    @pytest.mark.parametrize("travel", [copy.deepcopy, lambda cascade: pickle.loads(pickle.dumps(cascade))])
    def test_whole_modules_travel(self, travel: Callable[[SparseCascade], SparseCascade]) -> None:
        cascade = SparseCascade(small())
        there = travel(cascade)
        x = torch.randn(FEW, 12)
        assert torch.equal(there(x), cascade(x))
        there.load_state_dict(torch.load(saved(cascade)))


class TestTheComputedWeight:
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
    def test_who_assigns_it_is_told_what_to_do_instead(self, assign: Callable[[SparseCascade], None]) -> None:
        cascade = SparseCascade(small())
        with pytest.raises(AttributeError, match=r"initialise edge_weight.*or put its to_linear\(\) in its place"):
            assign(cascade)
        assert_it_computes_what_its_weights_say(cascade)

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
    def test_who_writes_into_it_is_told_what_to_do_instead(self, write: Callable[[Tensor], Any]) -> None:
        cascade = SparseCascade(small())
        with pytest.raises(RuntimeError, match="initialise edge_weight"), torch.no_grad():
            write(cascade.weight)
        linear = cascade.to_linear()
        with torch.no_grad():
            linear.weight.copy_(cascade.weight)  # reading is no writing
            linear.weight.mul_(cascade.weight)

    def test_what_is_computed_from_it_is_ordinary(self) -> None:
        cascade = SparseCascade(small())
        for value in (cascade.weight + 1, cascade.weight.detach(), cascade.weight.T, cascade.weight.clone()):
            assert type(value) is Tensor
        torch.testing.assert_close(cascade.weight, cascade.dense().T, check_dtype=True)
        nn.functional.linear(torch.ones(FEW, 12), cascade.weight).sum().backward()
        assert cascade.edge_weight.grad is not None

    def test_edge_weights_are_tied_and_reparametrised_as_any_parameter(self) -> None:
        one, other = SparseCascade(small()), SparseCascade(small())
        other.edge_weight = one.edge_weight
        assert torch.equal(one(torch.ones(12)), other(torch.ones(12)))
        nn.utils.parametrizations.weight_norm(one, "edge_weight")
        one(torch.ones(FEW, 12)).sum().backward()
        assert all(parameter.grad is not None for parameter in one.parameters())


class TestCompiledTracedExported:
    @pytest.mark.parametrize("rows", [1, FEW, MANY])
    def test_compiled_whole(self, rows: int) -> None:
        cascade = SparseCascade(small())
        x = torch.randn(rows, 12)
        compiled = torch.compile(cascade, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), cascade(x))
        compiled(x).sum().backward()
        assert cascade.edge_weight.grad is not None

    def test_compiled_where_a_module_reads_the_weight(self) -> None:
        model = nn.TransformerEncoderLayer(12, 3, dim_feedforward=12, dropout=0.0, batch_first=True)
        model.linear1, model.self_attn.out_proj = SparseCascade(small()), SparseCascade(small())
        x = torch.randn(4, 7, 12)
        torch.testing.assert_close(torch.compile(model, backend="aot_eager", fullgraph=True)(x), model(x))

    @pytest.mark.parametrize("rows", [FEW, MANY])
    @pytest.mark.parametrize("strict", [False, True])
    def test_an_exported_program_serves_batches_of_any_size(self, rows: int, strict: bool) -> None:
        cascade = SparseCascade(small())
        batch = {0: torch.export.Dim("batch", min=1)}
        program = torch.export.export(cascade, (torch.randn(rows, 12),), dynamic_shapes=(batch,), strict=strict)
        file = io.BytesIO()
        torch.export.save(program, file)
        file.seek(0)
        loaded = torch.export.load(file).module()
        for other in (1, FEW, MANY):
            x = torch.randn(other, 12)
            torch.testing.assert_close(loaded(x), cascade(x))

    @pytest.mark.parametrize("rows", [FEW, MANY])
    def test_a_trace_serves_batches_of_any_size(self, rows: int) -> None:
        cascade = SparseCascade(small())
        traced = torch.jit.trace(cascade, torch.randn(rows, 12), check_trace=False)
        for other in (1, FEW, MANY):
            x = torch.randn(other, 12)
            torch.testing.assert_close(traced(x), cascade(x))

    @pytest.mark.parametrize("compiler", [torch.fx.symbolic_trace, torch.jit.script])
    @pytest.mark.parametrize("wrap", [lambda cascade: cascade, nn.Sequential])
    def test_who_cannot_compile_it_is_told_what_to_do_instead(self, compiler: Any, wrap: Any) -> None:
        with pytest.raises(TypeError, match=r"put its to_linear\(\) in its place"):
            compiler(wrap(SparseCascade(small())))
        assert compiler(wrap(SparseCascade(small()).to_linear()))(torch.ones(FEW, 12)).shape == (FEW, 12)


class TestOtherKindsOfNumbers:
    @pytest.mark.parametrize("rows", [1, FEW, MANY])
    @pytest.mark.parametrize(
        ("change", "kind"),
        [
            (lambda x: x.to(torch.complex64), "complex"),
            (Tensor.to_sparse, "sparse"),
            (Tensor.to_sparse_csr, "sparse"),
            (lambda x: torch.nested.nested_tensor([x, x], layout=torch.strided), "nested"),
            (lambda x: torch.nested.nested_tensor([x, x], layout=torch.jagged), "nested"),
            (Tensor.numpy, "not a tensor"),
        ],
    )
    def test_inputs_of_another_kind_are_refused_at_every_size(self, change: Any, kind: str, rows: int) -> None:
        with pytest.raises(TypeError, match=kind):
            SparseCascade(small())(change(torch.randn(rows, 12)))

    @pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128, torch.int64, torch.bool])
    def test_weights_are_real(self, dtype: torch.dtype) -> None:
        with pytest.raises(TypeError, match="real floating-point"):
            SparseCascade(small(), dtype=dtype)

    def test_weights_that_became_complex_are_refused(self) -> None:
        for rows in (1, FEW, MANY):
            with pytest.raises(TypeError, match="the weights are complex"):
                SparseCascade(small()).to(torch.complex64)(torch.randn(rows, 12))
