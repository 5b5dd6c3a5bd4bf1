"""What the contract must know of a layer: how to build it, what to feed it, and what it should compute."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as tree

from topologies.canonical import renumber
from topologies.topology import Topology

ROWS = (0, 1, 2, 7, 33, 64, 200)
"""Sizes of batches: none, one, and such as do and do not fill the blocks of 8 and 64 rows that kernels take."""

Parameters = dict[str, Tensor]
Function = Callable[[Parameters, Tensor], Tensor]
"""A layer as a function of its parameters and its input."""

_TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5, torch.bfloat16: 5e-2, torch.float16: 1e-2}


class Layer(ABC):
    """A layer with a topology, beside the dense layer of PyTorch's that it stands in for, its *dense twin*.

    The layer maps one tensor to one tensor; where it returns more, ``build`` and ``fold`` wrap it.
    """

    ways: ClassVar[Sequence[str | None]] = (None,)
    """Ways of computing to pin in turn; None leaves the choice to the layer."""

    repeatable: ClassVar[Sequence[str | None]] = ("fused", "one_row")
    """Those among them that give the same bits on any number of threads."""

    topologies: ClassVar[Mapping[str, Topology]]
    """What to build layers from; the first is used where one will do, and has hidden neurons and kinds of all edges."""

    same_bits: ClassVar[bool] = True
    """Whether PyTorch's kernels behind the layer give the same bits with and without gradients."""

    rounding: ClassVar[float] = 1.0
    """How many times the rounding of one product of matrices that of the layer may be under autocast."""

    batches: ClassVar[Sequence[tuple[int, ...]]] = ((0,), (5,))
    """Shapes in front of one example's that the layer takes."""

    @abstractmethod
    def build(self, topology: Topology, way: str | None, **options: Any) -> nn.Module:
        """The layer; the options are ``bias``, ``device`` and ``dtype``."""

    @abstractmethod
    def inputs(self, module: nn.Module, *batch: int) -> Tensor:
        """Random inputs of the module's device and dtype, contiguous, the shape of the batch in front."""

    @abstractmethod
    def fold(self, module: nn.Module) -> nn.Module:
        """The dense twin as the module's own method makes it."""

    @abstractmethod
    def dense_weights(self, module: nn.Module, parameters: Parameters) -> Parameters:
        """The twin's parameters as a differentiable function of the layer's: an oracle without the layer's code."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run whatever asks for a ``way`` with each of them, whatever asks for a ``topology`` too."""
        if "way" in metafunc.fixturenames:
            metafunc.parametrize("way", self.ways, ids=[way or "own_choice" for way in self.ways])
        if "topology" in metafunc.fixturenames:
            metafunc.parametrize("topology", self.topologies.values(), ids=self.topologies.keys())

    def make(self, topology: Topology, way: str | None, **options: Any) -> nn.Module:
        """A layer whose bias, if any, is not the zero that it starts with."""
        module = self.build(topology, way, **options)
        for name, parameter in module.named_parameters():
            if "bias" in name:
                nn.init.normal_(parameter)
        return module

    def usual(self, way: str | None, **options: Any) -> nn.Module:
        """The layer of the first topology."""
        return self.make(next(iter(self.topologies.values())), way, **options)

    def renumbered(self, way: str | None) -> nn.Module:
        """The same layer but for the order of its hidden neurons: as many weights, which belong to other edges."""
        topology = next(iter(self.topologies.values()))
        return self.make(renumber(topology, [np.arange(width)[::-1] for width in topology.widths[1:-1]]), way)

    def twin(self, module: nn.Module) -> Function:
        """What the module should compute from *its* parameters and an input, by its dense twin."""
        dense = self.fold(module)

        def apply(parameters: Parameters, x: Tensor) -> Tensor:
            return torch.func.functional_call(dense, self.dense_weights(module, parameters), (x,))

        return apply

    def assert_computes_what_its_parameters_say(self, module: nn.Module) -> None:
        """At sizes that go different ways."""
        twin = self.twin(module)
        with torch.no_grad():
            for rows in (1, 2, 200):
                x = self.inputs(module, rows)
                assert_close(module(x), twin(dict(module.named_parameters()), x))


def function(module: nn.Module) -> Function:
    """The module as a function of its parameters and its input."""
    return lambda parameters, x: torch.func.functional_call(module, parameters, (x,))


def values(module: nn.Module) -> Parameters:
    """The module's parameters as tensors that no graph knows of."""
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def gradients(module: nn.Module, x: Tensor, slope: Tensor | None = None) -> list[Tensor]:
    """Those of the inputs and of all parameters, for a gradient of the outputs that depends on their places."""
    x = x if x.requires_grad else x.detach().requires_grad_()
    y = module(x)
    return list(torch.autograd.grad(y, [x, *module.parameters()], ramp(y) if slope is None else slope))


def ramp(like: Tensor) -> Tensor:
    """Numbers between -1 and 2, no two alike, whose sums do not cancel."""
    return torch.linspace(-1, 2, like.numel(), dtype=like.dtype, device=like.device).view(like.shape)


def assert_close(found: Any, expected: Any, factor: float = 1.0) -> None:
    """The same dtypes, shapes and numbers, but for rounding: relative to the largest number of a tensor."""
    ours, spec = tree.tree_flatten(found)
    theirs, expected_spec = tree.tree_flatten(expected)
    assert spec == expected_spec
    for one, other in zip(ours, theirs, strict=True):
        tolerance = factor * _TOLERANCE[other.dtype]
        scale = float(other.detach().abs().max()) if other.numel() else 0.0
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * max(scale, 1e-3))
