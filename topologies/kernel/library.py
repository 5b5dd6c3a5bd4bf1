"""The cascade as an operation of PyTorch's, for programs that are compiled, exported or traced.

It chooses its way when it runs, so a program serves batches of any size; and the wiring is one of its arguments, so an
exported program runs wherever ``topologies`` has been imported. What computes is imported with the first call.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from topologies.kernel.arguments import check_fit


def _refuse_forward_mode() -> None:
    """An operation of this library cannot have a formula for tangents, and PyTorch takes those without for zero."""
    if forward_ad._current_level >= 0:
        raise RuntimeError("exported and traced sparse layers have no forward-mode derivatives: call the layer itself")


def _forward(x: Tensor, weight: Tensor, bias: Tensor | None, wiring: Tensor, n_out: int, way: str) -> Tensor:
    from topologies.kernel.compute import run_forward

    _refuse_forward_mode()
    return run_forward(x, weight, bias, wiring, way or None)  # type: ignore[arg-type]


def _backward(arriving: Tensor, x: Tensor, weight: Tensor, wiring: Tensor, way: str) -> tuple[Tensor, Tensor]:
    from topologies.kernel.compute import run_backward

    _refuse_forward_mode()
    return run_backward(arriving, x, weight, wiring, way or None)  # type: ignore[arg-type]


def _forward_shape(x: Tensor, weight: Tensor, bias: Tensor | None, wiring: Tensor, n_out: int, way: str) -> Tensor:
    check_fit(x, weight, bias, weight.numel(), n_out)
    if wiring.device.type == "meta" != x.device.type:
        raise RuntimeError(f"the input is on {x.device} and the wiring on meta, where it has no numbers")
    return x.new_empty((x.shape[0], n_out, *x.shape[2:]))


def _backward_shapes(arriving: Tensor, x: Tensor, weight: Tensor, wiring: Tensor, way: str) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, _, wiring, _, ctx.way = inputs
    ctx.save_for_backward(x, weight, wiring)


def _derive(ctx: Any, arriving: Tensor) -> tuple[Any, ...]:
    x, weight, wiring = ctx.saved_tensors
    of_bias = arriving.sum(dim=(0, *range(2, arriving.dim()))) if ctx.needs_input_grad[2] else None
    if torch.is_grad_enabled():  # what is computed here is to be differentiated, and an operation's own code is not
        from topologies.kernel.compute import run_backward_to_differentiate

        return (*run_backward_to_differentiate(arriving, x, weight, wiring), of_bias, None, None, None)
    leaving, gradient = torch.ops.evofabric.cascade_backward(arriving, x, weight, wiring, ctx.way)
    return leaving, gradient, of_bias, None, None, None


_library: Any = torch.library.Library("evofabric", "DEF")  # type: ignore[no-untyped-call]
for _signature, _run, _shape in (
    (
        "cascade(Tensor x, Tensor weight, Tensor? bias, Tensor wiring, int n_out, str way) -> Tensor",
        _forward,
        _forward_shape,
    ),
    (
        "cascade_backward(Tensor arriving, Tensor x, Tensor weight, Tensor wiring, str way) -> (Tensor, Tensor)",
        _backward,
        _backward_shapes,
    ),
):
    _name = _library.define(_signature)
    _library.impl(_name, _run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"evofabric::{_name}", _shape, lib=_library)
torch.library.register_autograd("evofabric::cascade", _derive, setup_context=_keep, lib=_library)

cascade = torch.ops.evofabric.cascade
"""The operation; who computes cascades takes it from here, so that it is registered."""
