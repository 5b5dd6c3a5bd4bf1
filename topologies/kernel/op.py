"""A cascade as one operation of PyTorch's, whichever way it is computed.

In eager mode the compiled kernels are an ``autograd.Function``. What compiles, exports or traces is given an operation
of the library ``evofabric`` instead. That chooses its way when it runs, so a program serves batches of any size; and
the wiring is one of its arguments, so an exported program runs wherever ``topologies`` has been imported. Transforms of
``torch.func`` and forward-mode derivatives go the plain way: PyTorch takes the tangent of an operation without a
formula for it to be zero.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.autograd import forward_ad
from torch.nn import functional
from torch.utils._python_dispatch import _get_current_dispatch_mode

from topologies.kernel import blocks, fused, one_row, plain
from topologies.kernel.way import COMPILED, Way, choose
from topologies.kernel.wiring import Wiring

_KERNELS = {"fused": fused, "one_row": one_row}


def cascade(x: Tensor, weight: Tensor, bias: Tensor | None, wiring: Wiring, way: Way | None = None) -> Tensor:
    """The outputs of a cascade for a batch.

    They can be differentiated any number of times, backwards and forwards. Under autocast they have its dtype, and
    sums are float32.

    Parameters
    ----------
    x:
        ``(rows, n_in)``, or ``(images, n_in, columns)`` as convolutions have it; the result has the same form.
    weight:
        The trainable weights, ``(n_trainable,)``, in order of the layers and of their (target, source).
    bias:
        ``(n_out,)``, or None.
    wiring:
        The edges.
    way:
        How to compute it; None for what takes the least time.

    Raises
    ------
    ValueError
        When the ``way`` is not to be had for this dtype, device or topology.
    """
    low = _autocast(x)
    if low is not None:
        x, weight, bias = x.float(), weight.float(), None if bias is None else bias.float()
    y = _outputs(x, weight, bias, wiring, way)
    return y if low is None else y.to(low)


def folded(weight: Tensor, wiring: Wiring) -> Tensor:
    """The matrix that the cascade multiplies by, as ``nn.Linear`` keeps it: ``(n_out, n_in)``."""
    identity = torch.eye(wiring.n_in, dtype=weight.dtype, device=weight.device)
    return _outputs(identity, weight, None, wiring, "fused" if _has_kernels(weight) else "plain").T


def _outputs(x: Tensor, weight: Tensor, bias: Tensor | None, wiring: Wiring, way: Way | None) -> Tensor:
    """The outputs, without autocast."""
    if _is_recorded(x, weight):
        return torch.ops.evofabric.cascade(x, weight, bias, wiring.image, wiring.n_out, way or "")  # type: ignore[no-any-return]
    return _by(_chosen(x, wiring, way), x, weight, bias, wiring)


def _by(way: Way, x: Tensor, weight: Tensor, bias: Tensor | None, wiring: Wiring) -> Tensor:
    """The outputs, computed that way."""
    if way in _KERNELS and not _is_transformed():
        return _Compiled.apply(x, weight, bias, wiring, way)  # type: ignore[no-any-return, no-untyped-call]
    if x.dim() > 2:
        rows = _by(way, x.transpose(1, 2).flatten(0, 1), weight, bias, wiring)
        return rows.view(x.shape[0], x.shape[2], -1).transpose(1, 2)
    if way == "folded":
        return functional.linear(x, folded(weight, wiring), bias)
    if way == "blocks":
        y = blocks.multiply(x, weight, _runs(wiring, x.device))
    else:
        y = plain.multiply(x, weight, _edges(wiring, x.device))
    return y if bias is None else y + bias


class _Compiled(torch.autograd.Function):
    """The compiled kernels. Where the gradient is to be differentiated in turn, it is computed the plain way.

    There is no ``setup_context``: transforms, which want it, never come here, and it costs 25 microseconds a call.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, wiring: Wiring, way: Way) -> Tensor:
        ctx.wiring, ctx.way = wiring, way
        ctx.save_for_backward(x, weight)
        shift = np.zeros(wiring.n_out, np.float32) if bias is None else _array(bias)
        y = _KERNELS[way].forward(wiring, _array(x), _array(weight), shift)
        return torch.from_numpy(y).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), (arriving,) = ctx.saved_tensors, gradients
        of_bias = _sum_of_rows(arriving) if ctx.needs_input_grad[2] else None
        if torch.is_grad_enabled():
            return (*_differentiable(ctx, x, weight, arriving), of_bias, None, None)
        leaving, gradient = _gradients(ctx.way, x, weight, arriving, ctx.wiring)
        return leaving, gradient, of_bias, None, None


def _gradients(way: Way, x: Tensor, weight: Tensor, arriving: Tensor, wiring: Wiring) -> tuple[Tensor, Tensor]:
    """Gradients of the inputs and of the weights by the compiled kernels."""
    found = _KERNELS[way].backward(wiring, _array(x), _array(weight), _array(arriving))
    return torch.from_numpy(found[0]).to(x.dtype), torch.from_numpy(found[1]).to(weight.dtype)


def _differentiable(ctx: Any, x: Tensor, weight: Tensor, arriving: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """The same gradients as functions that can be differentiated."""
    wanted = ctx.needs_input_grad[:2]
    asked = [one for one, is_wanted in zip((x, weight), wanted, strict=True) if is_wanted]
    y = _by("plain", x, weight, None, ctx.wiring)
    found = list(torch.autograd.grad(y, asked, arriving, create_graph=True)) if asked else []
    of_x = found.pop(0) if wanted[0] else None
    return of_x, found.pop(0) if wanted[1] else None


def _array(tensor: Tensor) -> NDArray[np.float32]:
    """The same numbers as kernels read them: float32 and contiguous. The caller keeps the tensor alive.

    Not ``tensor.numpy()``, after which PyTorch can no longer resize the memory, as FSDP does with parameters; and
    ``np.from_dlpack`` takes five times as long.
    """
    if tensor.dtype != torch.float32 or not tensor.is_contiguous() or tensor.numel() == 0:
        return cast(NDArray[np.float32], tensor.detach().float().contiguous().numpy())
    memory = (ctypes.c_float * tensor.numel()).from_address(tensor.data_ptr())
    return np.frombuffer(cast(Any, memory), np.float32).reshape(tensor.shape)


def _sum_of_rows(values: Tensor) -> Tensor:
    return values.sum(dim=(0, *range(2, values.dim())))


def _chosen(x: Tensor, wiring: Wiring, way: Way | None) -> Way:
    """The way to go; ValueError where it is not to be had."""
    if way is None:
        return choose(wiring, x.dtype, x.device, x.numel() // wiring.n_in)
    if way in _KERNELS and not _has_kernels(x):
        raise ValueError(f"way={way!r} takes float32 or half precision on a CPU, not {x.dtype} on {x.device}")
    return way


def _has_kernels(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype in COMPILED


def _is_transformed() -> bool:
    """Whether ``torch.func`` or forward-mode derivatives are at work."""
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0


def _is_recorded(*tensors: Tensor) -> bool:
    """Whether what is computed is compiled, exported, traced or watched, rather than only computed."""
    if torch.compiler.is_compiling():
        return True
    if _is_transformed():
        return False
    watched = torch.jit.is_tracing() or _get_current_dispatch_mode() is not None  # type: ignore[attr-defined, no-untyped-call]
    return watched or any(type(tensor) not in (Tensor, nn.Parameter) for tensor in tensors)


def _autocast(x: Tensor) -> torch.dtype | None:
    """The dtype of autocast where it applies: as for ``nn.Linear``, doubles stay what they are."""
    device = x.device.type
    applies = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if applies and x.dtype != torch.float64 else None


def _edges(wiring: Wiring, device: torch.device) -> plain.Edges:
    """What the plain way reads, made once for a device."""
    key = ("plain", device)
    if key not in wiring.derived:
        with temporarily_clear_interpreter_stack():  # else they would belong to a transform of torch.func
            wiring.derived[key] = plain.Edges.of(wiring.topology(), device)
    return wiring.derived[key]  # type: ignore[no-any-return]


def _runs(wiring: Wiring, device: torch.device) -> list[blocks.Run]:
    """What the blocks' way reads, made once for a device."""
    key = ("blocks", device)
    if key not in wiring.derived:
        with temporarily_clear_interpreter_stack():
            cut = blocks.runs(wiring.topology())
            if cut is None:
                raise ValueError("way='blocks' takes a topology whose layers fall apart into equal blocks")
            wiring.derived[key] = blocks.moved(cut, device)
    return wiring.derived[key]  # type: ignore[no-any-return]


def _run_forward(x: Tensor, weight: Tensor, bias: Tensor | None, image: Tensor, n_out: int, way: Any) -> Tensor:
    wiring = Wiring.read(image)
    way = _chosen(x, wiring, way or None)
    with torch.no_grad():
        return _by(way, x, weight, bias, wiring if way in _KERNELS else _kept(image.numpy().tobytes())).contiguous()


def _run_backward(arriving: Tensor, x: Tensor, weight: Tensor, image: Tensor, way: Any) -> tuple[Tensor, Tensor]:
    wiring = Wiring.read(image)
    way = _chosen(x, wiring, way or None)
    if way in _KERNELS:
        return _gradients(way, x, weight, arriving, wiring)
    wiring = _kept(image.numpy().tobytes())
    with torch.enable_grad():
        x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
        found = torch.autograd.grad(_by(way, x, weight, None, wiring), (x, weight), arriving)
    return found[0].contiguous(), found[1].contiguous()


def _fake_forward(x: Tensor, weight: Tensor, bias: Tensor | None, image: Tensor, n_out: int, way: str) -> Tensor:
    return x.new_empty((x.shape[0], n_out, *x.shape[2:]))


def _fake_backward(arriving: Tensor, x: Tensor, weight: Tensor, image: Tensor, way: str) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, _, image, _, ctx.way = inputs
    ctx.save_for_backward(x, weight, image)


def _derive(ctx: Any, arriving: Tensor) -> tuple[Any, ...]:
    x, weight, image = ctx.saved_tensors
    leaving, gradient = torch.ops.evofabric.cascade_backward(arriving, x, weight, image, ctx.way)
    of_bias = _sum_of_rows(arriving) if ctx.needs_input_grad[2] else None
    return leaving, gradient, of_bias, None, None, None


@lru_cache(64)
def _kept(image: bytes) -> Wiring:
    """The wiring of a graph that does not go through the kernels: other ways derive much from it."""
    return Wiring.read(torch.frombuffer(bytearray(image), dtype=torch.uint8))


_library: Any = torch.library.Library("evofabric", "DEF")  # type: ignore[no-untyped-call]
for _signature, _run, _fake in (
    (
        "cascade(Tensor x, Tensor weight, Tensor? bias, Tensor wiring, int n_out, str way) -> Tensor",
        _run_forward,
        _fake_forward,
    ),
    (
        "cascade_backward(Tensor arriving, Tensor x, Tensor weight, Tensor wiring, str way) -> (Tensor, Tensor)",
        _run_backward,
        _fake_backward,
    ),
):
    _name = _library.define(_signature)
    _library.impl(_name, _run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"evofabric::{_name}", _fake, lib=_library)
torch.library.register_autograd("evofabric::cascade", _derive, setup_context=_setup, lib=_library)
