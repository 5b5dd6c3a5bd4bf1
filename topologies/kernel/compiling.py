"""Derivatives that a program takes of a layer while it compiles.

A compiler knows no formula for them: it takes forward ones to be zero. So it breaks its graph there, or says that it
cannot where it must not, and the layer is computed in eager mode. This module is imported only where something
compiles, because these decorators load PyTorch's compiler, which takes seconds.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch._C._functorch import TransformType, get_interpreter_stack
from torch.autograd import forward_ad

from topologies.kernel.compute import by, chosen
from topologies.kernel.way import Way
from topologies.kernel.wiring import Wiring


@torch.compiler.assume_constant_result
def is_differentiated() -> bool:
    """Whether a transform of ``torch.func`` other than ``vmap``, or a level of dual numbers, is at work."""
    levels = get_interpreter_stack() or ()
    return forward_ad._current_level >= 0 or any(level.key() != TransformType.Vmap for level in levels)


@torch.compiler.disable
def outputs_in_eager_mode(x: Tensor, weight: Tensor, bias: Tensor | None, wiring: Wiring, way: Way | None) -> Tensor:
    """The outputs, as where nothing compiles."""
    return by(chosen(x, wiring, way), x, weight, bias, wiring)
