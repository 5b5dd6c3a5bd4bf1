"""Derivatives of every order and direction, and the transforms of ``torch.func``, beside the dense twin's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, func
from torch.autograd import forward_ad
from torch.autograd.functional import hessian, jacobian
from torch.utils import _pytree as tree
from torch.utils._python_dispatch import TorchDispatchMode

from topologies.testing.layers.layer import Function, Layer, Parameters, assert_close, function, ramp, values
from topologies.topology import Topology


def loss(apply: Function) -> Function:
    """One number, curved in the parameters and in the input."""
    return lambda parameters, x: apply(parameters, x).pow(3).sum()


def tangent(of: Any) -> Any:
    """A direction to move tensors in."""
    return tree.tree_map(lambda tensor: (3 * tensor).cos(), of)


def moved(tensor: Tensor) -> Tensor:
    """The dual number of a tensor and its tangent."""
    return forward_ad.make_dual(tensor, tangent(tensor))


def stacked(parameters: Parameters) -> Parameters:
    """Those of three models in one tensor each."""
    return {name: torch.stack([tensor, tensor.sin(), -tensor]) for name, tensor in parameters.items()}


TRANSFORMS: dict[str, Callable[[Function, Parameters, Tensor], Any]] = {
    "grad": lambda f, p, x: func.grad(loss(f), argnums=(0, 1))(p, x),
    "grad of grad": lambda f, p, x: func.grad(lambda p: func.grad(loss(f), 1)(p, x).pow(2).sum())(p),
    "vjp": lambda f, p, x: func.vjp(f, p, x)[1](f(p, x).cos()),
    "jvp": lambda f, p, x: func.jvp(f, (p, x), tangent((p, x))),
    "jvp of parameters": lambda f, p, x: func.jvp(lambda p: f(p, x), (p,), tangent((p,))),
    "jvp of inputs": lambda f, p, x: func.jvp(lambda x: f(p, x), (x,), tangent((x,))),
    "jacrev": lambda f, p, x: func.jacrev(f, argnums=(0, 1))(p, x),
    "jacfwd": lambda f, p, x: func.jacfwd(f, argnums=(0, 1))(p, x),
    "hessian": lambda f, p, x: func.hessian(loss(f), argnums=(0, 1))(p, x),
    "grad of every example": lambda f, p, x: func.vmap(func.grad(loss(f)), (None, 0))(p, x),
    "jvp of every example": lambda f, p, x: func.vmap(lambda x: func.jvp(lambda p: f(p, x), (p,), tangent((p,)))[1])(x),
    "several models": lambda f, p, x: func.vmap(f, (0, None))(stacked(p), x),
    "grad of several models": lambda f, p, x: func.vmap(func.grad(loss(f)), (0, None))(stacked(p), x),
}


def penalised(apply: Function, parameters: Parameters, x: Tensor) -> list[Tensor]:
    """Gradients, of the inputs and of all parameters, of a loss with a penalty on the first gradients of both."""
    tensors = [x, *parameters.values()]
    slopes = torch.autograd.grad(loss(apply)(parameters, x), tensors, create_graph=True, materialize_grads=True)
    penalty = apply(parameters, x).square().sum() + sum(slope.square().sum() for slope in slopes)
    return list(torch.autograd.grad(penalty, tensors, materialize_grads=True))


def of_its_own_making(apply: Function) -> Function:
    """The same layer where the input is made of the parameters, as where a layer is applied twice."""
    return lambda parameters, x: apply(parameters, x * sum(tensor.sum() for tensor in parameters.values()).cos())


def batched(apply: Function, parameters: Parameters, x: Tensor) -> list[Tensor]:
    """Derivatives for several gradients of the outputs at once: by the input twice, and by all parameters."""
    y = apply(parameters, x)
    slopes = torch.stack([ramp(y), ramp(y).cos(), -ramp(y)])
    return [
        jacobian(lambda x: apply(parameters, x), x, vectorize=True),
        hessian(lambda x: loss(apply)(parameters, x), x, vectorize=True),
        *torch.autograd.grad(y, list(parameters.values()), slopes, is_grads_batched=True, materialize_grads=True),
    ]


class Watched(TorchDispatchMode):
    """Sees every operation, as profilers and counters do, and changes nothing."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return operation(*args, **(kwargs or {}))


class Derivatives(Layer):
    """Derivatives beyond a backward pass in eager mode."""

    @pytest.mark.parametrize("transform", TRANSFORMS)
    def test_function_transforms(self, way: str | None, transform: str) -> None:
        module = self.usual(way)
        for rows in (1, 7):
            arguments = values(module), self.inputs(module, rows)
            found = TRANSFORMS[transform](function(module), *arguments)
            assert_close(found, TRANSFORMS[transform](self.twin(module), *arguments), factor=10)

    @pytest.mark.parametrize("rows", [1, 7])
    def test_dual_numbers(self, way: str | None, topology: Topology, rows: int) -> None:
        module = self.make(topology, way)
        x, parameters = self.inputs(module, rows), values(module)
        for x_moves, parameters_move in ((True, True), (True, False), (False, True)):
            for mode in (torch.no_grad, torch.enable_grad):
                with mode(), forward_ad.dual_level():
                    given = (
                        moved(x) if x_moves else x,
                        {name: moved(tensor) if parameters_move else tensor for name, tensor in parameters.items()},
                    )
                    found = forward_ad.unpack_dual(function(module)(given[1], given[0]))
                    expected = forward_ad.unpack_dual(self.twin(module)(given[1], given[0]))
                assert_close([found.primal, found.tangent], [expected.primal, expected.tangent])

    @pytest.mark.parametrize("rows", [0, 1, 7])
    def test_against_finite_differences(self, way: str | None, rows: int) -> None:
        module = self.usual(way, dtype=torch.float64)
        names = [name for name, _ in module.named_parameters()]
        arguments = [tensor.requires_grad_() for tensor in (self.inputs(module, rows), *values(module).values())]

        def apply(x: Tensor, *parameters: Tensor) -> Tensor:
            return function(module)(dict(zip(names, parameters, strict=True)), x)

        assert torch.autograd.gradcheck(
            apply, arguments, fast_mode=True, check_forward_ad=True, check_batched_grad=True
        )
        assert torch.autograd.gradgradcheck(apply, arguments, fast_mode=True, check_fwd_over_rev=True)

    @pytest.mark.parametrize(
        ("rows", "dtype"), [(0, torch.float32), (1, torch.float32), (33, torch.float32), (33, torch.float64)]
    )
    def test_a_gradient_penalty(self, way: str | None, topology: Topology, rows: int, dtype: torch.dtype) -> None:
        module = self.make(topology, way, dtype=dtype)
        parameters = dict(module.named_parameters())
        x = self.inputs(module, rows).requires_grad_()
        assert_close(penalised(function(module), parameters, x), penalised(self.twin(module), parameters, x), factor=10)

    @pytest.mark.parametrize("rows", [1, 7])
    def test_a_gradient_penalty_where_the_input_is_made_of_the_weights(self, way: str | None, rows: int) -> None:
        module = self.usual(way)
        parameters = dict(module.named_parameters())
        x = self.inputs(module, rows).requires_grad_()
        found, expected = (
            penalised(of_its_own_making(apply), parameters, x) for apply in (function(module), self.twin(module))
        )
        assert_close(found, expected, factor=10)

    @pytest.mark.parametrize("rows", [0, 1, 33])
    def test_a_gradient_penalty_that_is_watched(self, way: str | None, topology: Topology, rows: int) -> None:
        module = self.make(topology, way)
        parameters = dict(module.named_parameters())
        x = self.inputs(module, rows).requires_grad_()
        with Watched():
            found = penalised(function(module), parameters, x)
        assert_close(found, penalised(self.twin(module), parameters, x), factor=10)

    @pytest.mark.parametrize("rows", [1, 7])
    def test_batched_gradients(self, way: str | None, rows: int) -> None:
        module = self.usual(way)
        x, parameters = self.inputs(module, rows), dict(module.named_parameters())
        assert_close(batched(function(module), parameters, x), batched(self.twin(module), parameters, x), factor=10)
