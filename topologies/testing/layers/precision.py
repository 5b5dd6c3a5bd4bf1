"""Numbers of fewer bits and of more: what a layer makes of them, beside what its dense twin makes of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from topologies.testing.layers.layer import Layer, assert_close, gradients, ramp
from topologies.topology import Topology

SLACK = 3
"""How many times the dense twin's error a layer's may be: both sum in float32, but they round in other places."""


def error(found: Tensor, exact: Tensor) -> float:
    """Relative to the numbers' size."""
    return float((found.double() - exact).norm() / exact.norm().clamp(min=1e-12))


class Precision(Layer):
    """Autocast, and parameters of other dtypes."""

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    @pytest.mark.parametrize("rows", [1, 33])
    def test_parameters_of_fewer_bits(self, way: str | None, topology: Topology, rows: int, dtype: torch.dtype) -> None:
        module = self.make(topology, way, dtype=dtype)
        x = self.inputs(module, rows)
        found = [module(x), *gradients(module, x)]
        assert {tensor.dtype for tensor in found} == {dtype}
        module.double()
        assert_close(found, [tensor.to(dtype) for tensor in (module(x.double()), *gradients(module, x.double()))])

    @pytest.mark.parametrize("move", ["half", "bfloat16", "double"])
    def test_moving_to_another_dtype(self, way: str | None, move: str) -> None:
        module: nn.Module = self.usual(way)
        for rows in (0, 1, 200):
            module(self.inputs(module, rows))
        module = getattr(module, move)()
        assert {parameter.dtype for parameter in module.parameters()} == {getattr(torch, move)}
        self.assert_computes_what_its_parameters_say(module)

    @pytest.mark.parametrize(("rows", "reduced"), [(1, torch.bfloat16), (64, torch.bfloat16), (64, torch.float16)])
    def test_autocast_is_as_exact_as_the_twins(
        self, way: str | None, topology: Topology, rows: int, reduced: torch.dtype
    ) -> None:
        """Outputs and gradients of the inputs, against all in float64; 64 examples, so that luck evens out."""
        module = self.make(topology, way)
        dense, exact = self.fold(module), self.fold(module).double()
        x = self.inputs(module, 64)
        expected = exact(x.double()), gradients(exact, x.double())[0]
        with torch.autocast("cpu", dtype=reduced):
            theirs = dense(x), gradients(dense, x)[0]
            slopes = ramp(theirs[0]).split(rows)
            parts = [
                (module(some), gradients(module, some, slope)[0])
                for some, slope in zip(x.split(rows), slopes, strict=True)
            ]
        for found, other, true in zip(zip(*parts, strict=True), theirs, expected, strict=True):
            assert {one.dtype for one in found} == {other.dtype}
            assert error(torch.cat(found), true) <= SLACK * error(other, true) + 1e-7

    @pytest.mark.parametrize("reduced", [torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("rows", [1, 200])
    def test_autocast_trains_the_parameters(
        self, way: str | None, topology: Topology, rows: int, reduced: torch.dtype
    ) -> None:
        """Their gradients keep the parameters' dtype, and are as exact as numbers of so few bits let them be."""
        module = self.make(topology, way)
        x = self.inputs(module, rows)
        with torch.autocast("cpu", dtype=reduced):
            y = module(x)
        found = torch.autograd.grad(y, list(module.parameters()), torch.ones_like(y))
        expected = gradients(module, x, torch.ones_like(y, dtype=torch.float32))[1:]
        assert {gradient.dtype for gradient in found} == {torch.float32}
        assert all(
            error(one, other.double()) <= SLACK * self.rounding * torch.finfo(reduced).eps
            for one, other in zip(found, expected, strict=True)
        )

    @pytest.mark.parametrize("rows", [0, 1, 200])
    @pytest.mark.parametrize("reduced", [torch.bfloat16, torch.float16])
    def test_autocast_takes_the_dtypes_that_the_twin_takes(
        self, way: str | None, rows: int, reduced: torch.dtype
    ) -> None:
        for dtype in (torch.float32, torch.float64):
            module = self.usual(way, dtype=dtype)
            dense, x = self.fold(module), self.inputs(module, rows)
            for given in (x, x.to(reduced)) if dtype == torch.float32 else (x,):
                with torch.autocast("cpu", dtype=reduced):
                    y, expected = module(given), dense(given)
                    with torch.autocast("cpu", enabled=False):
                        assert module(x).dtype == dtype
                assert_close(y, expected, factor=3)
