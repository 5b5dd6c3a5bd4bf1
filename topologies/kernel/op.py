"""A cascade as one operation of PyTorch's, whichever way it is computed.

In eager mode it is computed at once. What compiles, exports or traces is given the operation of
:mod:`topologies.kernel.library` instead.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

from topologies.kernel import library
from topologies.kernel.arguments import check_fit
from topologies.kernel.compute import by, chosen, is_transformed
from topologies.kernel.way import Way
from topologies.kernel.wiring import Wiring


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
        How to compute it where that is to be had, else the plain way; None for what takes the least time.

    Raises
    ------
    RuntimeError
        Where ``weight`` or ``bias`` has another shape, or another device or, outside of autocast, dtype than ``x``.
    """
    low = autocast_dtype(x)
    if low is not None:
        with torch.autocast(x.device.type, enabled=False):
            shift = None if bias is None else bias.float()
            return _outputs(x.float(), weight.float(), shift, wiring, way).to(low)
    return _outputs(x, weight, bias, wiring, way)


def folded(weight: Tensor, wiring: Wiring) -> Tensor:
    """The matrix that the cascade multiplies by, as ``nn.Linear`` keeps it: ``(n_out, n_in)``."""
    identity = torch.eye(wiring.n_in, dtype=weight.dtype, device=weight.device)
    return _outputs(identity, weight, None, wiring, "fused").T


def _outputs(x: Tensor, weight: Tensor, bias: Tensor | None, wiring: Wiring, way: Way | None) -> Tensor:
    """The outputs, without autocast."""
    check_fit(x, weight, bias, wiring.n_trainable, wiring.n_out)
    if torch.compiler.is_compiling():
        from topologies.kernel import compiling

        if compiling.is_differentiated():
            return compiling.outputs_in_eager_mode(x, weight, bias, wiring, way)  # type: ignore[no-any-return]
    if _is_recorded(x, weight):
        return library.cascade(x, weight, bias, wiring.image, wiring.n_out, way or "")  # type: ignore[no-any-return]
    return by(chosen(x, wiring, way), x, weight, bias, wiring)


def _is_recorded(*tensors: Tensor) -> bool:
    """Whether what is computed is compiled, exported, traced or watched, rather than only computed."""
    if torch.compiler.is_compiling():
        return True
    if is_transformed():
        return False
    watched = torch.jit.is_tracing() or _get_current_dispatch_mode() is not None  # type: ignore[attr-defined, no-untyped-call]
    return watched or any(type(tensor) not in (Tensor, nn.Parameter) for tensor in tensors)


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    """The dtype of autocast where it applies: as for ``nn.Linear``, doubles stay what they are."""
    device = x.device.type
    applies = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if applies and x.dtype != torch.float64 else None
