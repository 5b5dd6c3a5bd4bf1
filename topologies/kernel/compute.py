"""Every way to compute a cascade, and the one that is taken.

The compiled kernels are an ``autograd.Function``. Transforms of ``torch.func`` and forward-mode derivatives go the
plain way: PyTorch takes the tangent of an operation without a formula for it to be zero.
"""

from __future__ import annotations

import ctypes
import logging
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.autograd import forward_ad
from torch.nn import functional
from torch.utils._python_dispatch import _disable_current_modes

from topologies.kernel import blocks, plain
from topologies.kernel.arguments import check_fit
from topologies.kernel.way import COMPILED, Way, choose
from topologies.kernel.wiring import Wiring

_KERNELS: dict[str, ModuleType] = {}
_CompileError: type[Exception] = ImportError


def _do_without_kernels(error: Exception) -> None:
    """Compute in plain PyTorch from now on, and say so."""
    _KERNELS.clear()
    reason = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().partition("\n")[0]  # Numba colours its words
    if isinstance(error, ModuleNotFoundError) and error.name in ("numba", "llvmlite"):
        reason = f"{error.name} is not installed (pip install 'evofabric[fast]')"
    logging.getLogger(__name__).warning(
        "sparse layers are computed in plain PyTorch, several times slower, because: %s", reason
    )


try:
    from numba.core.errors import NumbaError

    from topologies.kernel import fused, one_row

    _KERNELS |= {"fused": fused, "one_row": one_row}
    _CompileError = NumbaError
except ImportError as error:
    _do_without_kernels(error)


def by(way: Way, x: Tensor, weight: Tensor, bias: Tensor | None, wiring: Wiring) -> Tensor:
    """The outputs, computed that way; scalar loops know rows only."""
    if way == "one_row" and x.dim() > 2:
        way = "fused"
    if way in _KERNELS and not is_transformed():
        try:
            return _Compiled.apply(x, weight, bias, wiring, way)  # type: ignore[no-any-return, no-untyped-call]
        except _CompileError as error:
            _do_without_kernels(error)
    if x.dim() > 2:
        rows = by(way, x.transpose(1, 2).flatten(0, 1), weight, bias, wiring)
        return rows.view(x.shape[0], x.shape[2], wiring.n_out).transpose(1, 2)
    if way == "folded":
        identity = torch.eye(wiring.n_in, dtype=weight.dtype, device=weight.device)
        matrix = by(chosen(identity, wiring, "fused"), identity, weight, None, wiring).T
        return functional.linear(x, matrix, bias)
    if way == "blocks":
        y = blocks.multiply(x, weight, _runs(wiring, x.device) or [])
    else:
        y = plain.multiply(x, weight, _edges(wiring, x.device))
    return y if bias is None else y + bias


class _Compiled(torch.autograd.Function):
    """The compiled kernels. Gradients that are differentiated, or batched, go the plain way.

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
        of_bias = arriving.sum(dim=(0, *range(2, arriving.dim()))) if ctx.needs_input_grad[2] else None
        if torch.is_grad_enabled() or is_transformed() or _is_batched(arriving):
            return (*plain_gradients(arriving, x, weight, ctx.wiring), of_bias, None, None)
        leaving, gradient = _gradients(ctx.way, x, weight, arriving, ctx.wiring)
        return leaving, gradient, of_bias, None, None


def _gradients(way: Way, x: Tensor, weight: Tensor, arriving: Tensor, wiring: Wiring) -> tuple[Tensor, Tensor]:
    """Gradients of the inputs and of the weights by the compiled kernels."""
    found = _KERNELS[way].backward(wiring, _array(x), _array(weight), _array(arriving))
    return torch.from_numpy(found[0]).to(x.dtype), torch.from_numpy(found[1]).to(weight.dtype)


def plain_gradients(arriving: Tensor, x: Tensor, weight: Tensor, wiring: Wiring) -> tuple[Tensor | None, Tensor | None]:
    """The same gradients, of those that want one, the plain way: where gradients are on, to be differentiated in turn.

    They are taken of views, because ``x`` may have been made of ``weight``, as where a layer is applied twice: what
    leads from one to the other is for others to follow.
    """
    is_followed = torch.is_grad_enabled()
    with torch.enable_grad():
        given = x.view_as(x), weight.view_as(weight)
        asked = [one for one in given if one.requires_grad]
        y = by("plain", *given, None, wiring)
        found = iter(torch.autograd.grad(y, asked, arriving, create_graph=is_followed) if asked else ())
    of_x, of_weight = (next(found) if one.requires_grad else None for one in given)
    return of_x, of_weight


def _array(tensor: Tensor) -> NDArray[np.float32]:
    """The same numbers as kernels read them: float32 and contiguous. The caller keeps the tensor alive.

    Not ``tensor.numpy()``, after which PyTorch can no longer resize the memory, as FSDP does with parameters; and
    ``np.from_dlpack`` takes five times as long.
    """
    if tensor.dtype != torch.float32 or not tensor.is_contiguous() or tensor.numel() == 0:
        return cast(NDArray[np.float32], tensor.detach().float().contiguous().numpy())
    memory = (ctypes.c_float * tensor.numel()).from_address(tensor.data_ptr())
    return np.frombuffer(cast(Any, memory), np.float32).reshape(tensor.shape)


def chosen(x: Tensor, wiring: Wiring, way: Way | None) -> Way:
    """The way to go: the plain one where another is wanted that is not to be had."""
    if way is None:
        rows = x.numel() // wiring.n_in
        cut = None if x.device.type in ("cpu", "meta") else _runs(wiring, x.device)
        return choose(wiring, x.dtype, x.device, rows, kernels=bool(_KERNELS), cut=cut)
    if way in ("fused", "one_row") and not (_KERNELS and x.device.type == "cpu" and x.dtype in COMPILED):
        return "plain"
    return "plain" if way == "blocks" and _runs(wiring, x.device) is None else way


def _is_batched(gradient: Tensor) -> bool:
    """Whether a gradient stands for several, as of ``is_grads_batched`` or ``torch.func.vmap``: it has no memory."""
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(gradient) or functorch.is_legacy_batchedtensor(gradient)


def is_transformed() -> bool:
    """Whether ``torch.func`` or forward-mode derivatives are at work."""
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0


@contextmanager
def _ordinary() -> Iterator[None]:
    """Tensors made here serve later calls: they belong to no transform, to no inference mode and to no other mode."""
    with temporarily_clear_interpreter_stack(), _disable_current_modes(), torch.inference_mode(False):
        yield


def _edges(wiring: Wiring, device: torch.device) -> plain.Edges:
    """What the plain way reads, made once for a device."""
    key = ("plain", device)
    if key not in wiring.derived:
        with _ordinary():
            wiring.derived[key] = plain.Edges.of(wiring.topology(), device)
    return wiring.derived[key]  # type: ignore[no-any-return]


def _runs(wiring: Wiring, device: torch.device) -> list[blocks.Run] | None:
    """What the blocks' way reads, made once for a device; None where there are no equal blocks."""
    key = ("blocks", device)
    if key not in wiring.derived:
        with _ordinary():
            cut = blocks.runs(wiring.topology())
            wiring.derived[key] = None if cut is None else blocks.moved(cut, device)
    return wiring.derived[key]  # type: ignore[no-any-return]


def run_forward(x: Tensor, weight: Tensor, bias: Tensor | None, image: Tensor, way: Way | None) -> Tensor:
    """The outputs as a graph computes them, contiguous: no gradient is followed."""
    wiring = Wiring.read(image)
    check_fit(x, weight, bias, wiring.n_trainable, wiring.n_out)
    way = chosen(x, wiring, way)
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        return by(way, x, weight, bias, wiring if way in _KERNELS else _kept(wiring.image)).contiguous()


def run_backward(arriving: Tensor, x: Tensor, weight: Tensor, image: Tensor, way: Way | None) -> tuple[Tensor, Tensor]:
    """The gradients of inputs and weights as a graph computes them, contiguous."""
    wiring = Wiring.read(image)
    way = chosen(x, wiring, way)
    if way in _KERNELS:
        return _gradients("fused" if x.dim() > 2 else way, x, weight, arriving, wiring)
    wiring = _kept(wiring.image)
    with _autograd_within(), torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
        x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
        found = torch.autograd.grad(by(way, x, weight, None, wiring), (x, weight), arriving)
    return found[0].contiguous(), found[1].contiguous()


def run_backward_to_differentiate(
    arriving: Tensor, x: Tensor, weight: Tensor, image: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """The same gradients where they are to be differentiated in turn.

    Raises
    ------
    RuntimeError
        Where there are shapes and no numbers, as while a program is compiled.
    """
    if type(image) is not Tensor or image.is_meta:
        raise RuntimeError("the gradient of a sparse layer's gradient needs its wiring: compute it in eager mode")
    with _ordinary():
        wiring = _kept(image.cpu())
    return plain_gradients(arriving, x, weight, wiring)


def _autograd_within() -> AbstractContextManager[None]:
    """Autograd for the inside of an operation, which those who watch operations run below it."""
    return torch._C._SetExcludeDispatchKeyGuard(torch._C.DispatchKey.AutogradFunctionality, False)


def _kept(image: Tensor) -> Wiring:
    """The wiring of a graph that does not go through the kernels: other ways derive much from it."""
    return _read(image.numpy().tobytes())


@lru_cache(64)
def _read(image: bytes) -> Wiring:
    return Wiring.read(torch.frombuffer(bytearray(image), dtype=torch.uint8))
