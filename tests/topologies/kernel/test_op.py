"""The cascade as an operation of PyTorch's library."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from numba.core.errors import LoweringError
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.export.passes import move_to_device_pass

from tests.topologies.models.cascades import small
from topologies import SparseCascade, butterfly, clos
from topologies.kernel import blocks, compute
from topologies.kernel.way import WAYS, Way, choose
from topologies.kernel.wiring import Wiring

CPU = torch.device("cpu")
HOME = Path(__file__).parents[3]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1,), (40,), (3, 5)])
def test_opcheck(shape: tuple[int, ...], bias: bool) -> None:
    topology = clos(8, 2, 3, 2)
    layer = SparseCascade(topology, bias)
    rows, *columns = shape
    x = torch.randn(rows, 8, *columns, requires_grad=True)
    image = layer._wiring.image
    torch.library.opcheck(torch.ops.evofabric.cascade, (x, layer.edge_weight, layer.bias, image, 8, ""))


class Named(Tensor):
    """A tensor of a class of its own."""


def penalty(layer: Callable[[Tensor], Tensor], x: Tensor, steps: int) -> Tensor:
    """How a loss changes with the input, how the size of that does, and so on."""
    slope = torch.autograd.grad(layer(x).pow(3).sum(), x, create_graph=True)[0]
    for _ in range(steps):
        slope = torch.autograd.grad(slope.square().sum(), x, create_graph=True)[0]
    return slope.detach().as_subclass(Tensor)


@pytest.mark.parametrize("steps", [1, 2])
def test_what_is_traced_or_exported_or_given_other_tensors_is_differentiated_again(steps: int) -> None:
    torch.manual_seed(0)
    layer, x = SparseCascade(clos(8, 2, 3, 2), dtype=torch.float64), torch.randn(5, 8, dtype=torch.float64)
    expected = penalty(layer.to_linear(), x.clone().requires_grad_(), steps)
    traced = torch.jit.trace(layer, x, check_trace=False)
    exported = torch.export.export(layer, (x,)).module()
    for found in (
        penalty(layer, x.as_subclass(Named).requires_grad_(), steps),
        penalty(traced, x.clone().requires_grad_(), steps),
        penalty(exported, x.clone().requires_grad_(), steps),
    ):
        torch.testing.assert_close(found, expected)


def test_gradients_of_gradients_are_refused_where_there_are_no_numbers() -> None:
    layer = SparseCascade(clos(8, 2, 3, 2))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        x = torch.randn(5, 8, requires_grad=True)
        image = mode.from_tensor(layer._wiring.image)
        y = torch.ops.evofabric.cascade(x, layer.edge_weight, layer.bias, image, 8, "")
        assert torch.autograd.grad(y.sum(), x, retain_graph=True)[0].shape == x.shape
        with pytest.raises(RuntimeError, match="compute it in eager mode"):
            torch.autograd.grad(y.sum(), x, create_graph=True)


def moved(apply: Callable[[Tensor], Tensor], x: Tensor) -> Tensor | None:
    """The tangent of the outputs, by dual numbers."""
    with torch.no_grad(), forward_ad.dual_level():
        return forward_ad.unpack_dual(apply(forward_ad.make_dual(x, x.cos()))).tangent


FORWARD: dict[str, Callable[[Callable[[Tensor], Tensor], Tensor], Tensor | None]] = {
    "jvp": lambda f, x: torch.func.jvp(f, (x,), (x.cos(),))[1],
    "jacfwd": lambda f, x: torch.func.jacfwd(f)(x),
    "hessian": lambda f, x: torch.func.hessian(lambda x: f(x).pow(3).sum())(x),
}


@pytest.mark.parametrize("transform", FORWARD)
def test_a_compiled_derivative_is_that_of_eager_mode_or_refused(transform: str) -> None:
    layer, x = SparseCascade(clos(8, 2, 3, 2)), torch.randn(5, 8)
    expected = FORWARD[transform](layer, x)
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: FORWARD[transform](layer, x), backend="aot_eager")
    torch.testing.assert_close(compiled(x), expected)
    whole = torch.compile(lambda x: FORWARD[transform](layer, x), backend="aot_eager", fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported, match="outputs_in_eager_mode"):
        whole(x)


def test_dual_numbers_through_a_compiled_layer() -> None:
    layer, x = SparseCascade(clos(8, 2, 3, 2)), torch.randn(5, 8)
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="aot_eager")
    torch.testing.assert_close(compiled(x), layer(x))
    torch.testing.assert_close(moved(compiled, x), moved(layer, x))


def test_exported_and_traced_layers_have_no_tangents_and_say_so() -> None:
    layer, x = SparseCascade(clos(8, 2, 3, 2)), torch.randn(5, 8)
    exported, traced = torch.export.export(layer, (x,)).module(), torch.jit.trace(layer, x, check_trace=False)
    for program in (exported, traced):
        for derive in (moved, FORWARD["jvp"], lambda f, x: tangent_of_gradient(f, x, again=False)):
            with pytest.raises(RuntimeError, match="no forward-mode derivatives: call the layer itself"):
                derive(program, x)


def tangent_of_gradient(apply: Callable[[Tensor], Tensor], x: Tensor, again: bool) -> Tensor | None:
    """How the gradient of the input moves where that of the outputs does."""
    x = x.clone().requires_grad_()
    y = apply(x)
    with forward_ad.dual_level():
        arriving = forward_ad.make_dual(torch.ones_like(y), torch.ones_like(y).cumsum(1))
        (gradient,) = torch.autograd.grad(y, x, arriving, create_graph=again)
        return forward_ad.unpack_dual(gradient).tangent


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("again", [False, True])
def test_gradients_move_with_the_gradient_that_arrives(way: Way, again: bool) -> None:
    layer, x = SparseCascade(clos(8, 2, 3, 2), way=way), torch.randn(5, 8)
    torch.testing.assert_close(
        tangent_of_gradient(layer, x, again), tangent_of_gradient(layer.to_linear(), x, again), check_stride=False
    )


@pytest.mark.parametrize("way", ["plain", "blocks"])
def test_shapes_without_numbers_are_kept_from_later_calls(way: Way) -> None:
    layer = SparseCascade(clos(8, 4, 3, 2), way=way)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert torch.func.vjp(layer, torch.randn(5, 8))[0].shape == (5, 8)
    x = torch.randn(5, 8)
    torch.testing.assert_close(layer(x), layer.to_linear()(x))


def test_a_program_that_was_moved_to_meta_gives_shapes_and_takes_nothing_from_elsewhere() -> None:
    x = torch.randn(5, 8)
    layer = SparseCascade(clos(8, 2, 3, 2))
    moved = move_to_device_pass(torch.export.export(layer, (x,)), "meta").module()
    there = x.to("meta").requires_grad_()
    y = moved(there)
    assert (y.shape, y.device.type) == ((5, 8), "meta")
    assert torch.autograd.grad(y.sum(), there, retain_graph=True)[0].shape == there.shape
    with pytest.raises(RuntimeError, match="needs its wiring"):
        torch.autograd.grad(y.sum(), there, create_graph=True)
    with pytest.raises(RuntimeError, match="the input is on cpu and the weights are on meta"):
        moved(x)
    with pytest.raises(RuntimeError, match="the input is on cpu and the wiring on meta"):
        torch.ops.evofabric.cascade(x, layer.edge_weight, None, layer._wiring.image.to("meta"), 8, "")


WRONG: dict[str, tuple[str, Callable[[Tensor], Tensor], str]] = {
    "short weights": ("edge_weight", lambda one: one[:0], r"the weights are of shape \(0,\): \(40,\) is wanted"),
    "a table of weights": ("edge_weight", lambda one: one[None], r"of shape \(1, 40\): \(40,\) is wanted"),
    "a short bias": ("bias", lambda one: one[:1], r"the bias is of shape \(1,\): \(8,\) is wanted"),
    "a bias of doubles": ("bias", Tensor.double, "the bias is torch.float64: they must have the same dtype"),
    "a bias elsewhere": ("bias", lambda one: one.to("meta"), "the bias is on meta: they must be on one"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("way", [*WAYS, None])
def test_parameters_that_do_not_fit_are_refused_before_kernels_read_them(way: Way | None, wrong: str) -> None:
    layer, x = SparseCascade(clos(8, 2, 3, 2), way=way), torch.randn(5, 8)
    name, spoil, message = WRONG[wrong]
    parameters = {name: one.detach() for name, one in layer.named_parameters()}
    parameters[name] = spoil(parameters[name])
    with pytest.raises(RuntimeError, match=message):
        torch.func.functional_call(layer, parameters, (x,))
    with pytest.raises(RuntimeError, match=message):
        torch.ops.evofabric.cascade(x, parameters["edge_weight"], parameters["bias"], layer._wiring.image, 8, way or "")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 50])
def test_every_way_gives_the_same(rows: int, dtype: torch.dtype) -> None:
    topology = small()
    torch.manual_seed(0)
    x = torch.randn(rows, 12, dtype=dtype)
    layers = [SparseCascade(topology, dtype=dtype, way=way) for way in ("plain", *WAYS, None)]
    tolerance = {torch.bfloat16: 0.1, torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    for layer in layers:
        layer.load_state_dict(layers[0].state_dict())
        torch.testing.assert_close(layer(x), layers[0](x), atol=tolerance, rtol=tolerance)


def test_a_way_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="way is 'fast': it is None or one of fused, one_row, blocks, folded, plain"):
        SparseCascade(small(), way="fast")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "dtype", "device", "way"),
    [
        (0, torch.float32, CPU, "plain"),
        (1, torch.float32, CPU, "one_row"),
        (64, torch.float32, CPU, "fused"),
        (64, torch.bfloat16, CPU, "fused"),
        (4, torch.float64, CPU, "plain"),
        (4, torch.float32, torch.device("meta"), "plain"),
    ],
)
def test_which_way(rows: int, dtype: torch.dtype, device: torch.device, way: str) -> None:
    assert choose(Wiring.of(clos(256, 16, 4, 16)), dtype, device, rows) == way


def test_small_layers_of_many_edges_are_folded_for_many_rows() -> None:
    assert choose(Wiring.of(clos(32, 8, 9, 8)), torch.float32, CPU, 4096) == "folded"


@pytest.mark.parametrize(
    ("n", "rows", "expected"), [(1024, 32, "plain"), (256, 8192, "folded"), (4096, 8192, "blocks")]
)
def test_on_a_gpu_the_way_that_was_fastest_on_an_h200(n: int, rows: int, expected: str) -> None:
    topology = butterfly(n, n.bit_length() - 1)
    cut = blocks.runs(topology)
    assert choose(Wiring.of(topology), torch.float32, torch.device("cuda"), rows, cut=cut) == expected


def test_kernels_that_cannot_be_compiled_are_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise LoweringError("no such instruction\nand a long story")

    monkeypatch.setattr(compute, "_KERNELS", dict.fromkeys(compute._KERNELS, SimpleNamespace(forward=broken)))
    layer = SparseCascade(small())
    x = torch.randn(20, 12)
    torch.testing.assert_close(layer(x), x @ layer.dense())
    assert [record.getMessage() for record in caplog.records] == [
        "sparse layers are computed in plain PyTorch, several times slower, because: no such instruction"
    ]


LOOK = "import importlib.util; assert importlib.util.find_spec('torch').origin.endswith('__init__.py')\n"
FORGET = "sys.meta_path[:] = [finder for finder in sys.meta_path if 'topologies' not in type(finder).__module__]\n"


@pytest.mark.parametrize(
    "between", ["", LOOK, 2 * LOOK, FORGET], ids=["at once", "looked", "looked twice", "forgotten"]
)
def test_the_operation_is_there_whatever_happened_before_pytorch_was_imported(between: str) -> None:
    program = f"""
import sys, topologies
{between}
import torch
assert ("evofabric::cascade" in torch._C._dispatch_get_all_op_names()) == {between != FORGET}
assert not [finder for finder in sys.meta_path if "topologies" in type(finder).__module__]
layer = topologies.SparseCascade(topologies.butterfly(4, 2))
torch.jit.trace(layer, torch.ones(1, 4), check_trace=False)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=HOME, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
