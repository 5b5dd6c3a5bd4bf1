"""A matrix that is computed whenever it is read: what is written into it would be lost, so writing is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

INSTEAD = (
    "the weight of a SparseCascade is computed from edge_weight, so it cannot be set or written into: set, tie or "
    "initialise edge_weight (tying takes the same topology), or put its to_linear() in its place"
)
"""What to do rather than to write."""


def computed(matrix: Tensor) -> Tensor:
    """The same values as a tensor to read: to write into it or into its ``data`` raises RuntimeError.

    Whatever is computed from it is an ordinary tensor. So is it itself for compilers, which cannot follow more.
    """
    return matrix if torch.compiler.is_compiling() else matrix.as_subclass(_Computed)


class _Computed(Tensor):
    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        written = [given.get("out")]
        if func.__name__ in ("__setitem__", "__set__") or _is_in_place(func.__name__):
            written += [*args[:1], *given.values()]  # functions of torch.nn.init are told of the tensor by name
        if any(isinstance(one, cls) for one in written):
            raise RuntimeError(INSTEAD)
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **given)
        return result.as_subclass(cls) if func == Tensor.data.__get__ else result  # type: ignore[attr-defined]


def _is_in_place(name: str) -> bool:
    return name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
