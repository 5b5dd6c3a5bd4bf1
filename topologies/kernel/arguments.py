"""What has to be right of a cascade's arguments, whichever way it is computed."""

from __future__ import annotations

from torch import Tensor


def check_fit(x: Tensor, weight: Tensor, bias: Tensor | None, n_trainable: int, n_out: int) -> None:
    """Raise RuntimeError where these do not belong together, as ``nn.Linear`` does: kernels read their memory."""
    for name, tensor, size in (("weights are", weight, n_trainable), ("bias is", bias, n_out)):
        if tensor is None:
            continue
        if x.device != tensor.device:
            raise RuntimeError(f"the input is on {x.device} and the {name} on {tensor.device}: they must be on one")
        if x.dtype != tensor.dtype:
            raise RuntimeError(f"the input is {x.dtype} and the {name} {tensor.dtype}: they must have the same dtype")
        if tensor.shape != (size,):
            raise RuntimeError(f"the {name} of shape {tuple(tensor.shape)}: {(size,)} is wanted")
