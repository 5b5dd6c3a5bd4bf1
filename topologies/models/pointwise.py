"""A topology as a PyTorch layer that stands in for a 1 × 1 ``torch.nn.Conv2d``."""

from __future__ import annotations

from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from topologies.kernel.op import cascade
from topologies.models.cascade import SparseCascade
from topologies.models.computed import computed
from topologies.topology import Topology

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
"""As of ``nn.Conv2d``."""


class SparseConv1x1(nn.Module):
    """The sparse cascade of a topology over the channels of every pixel, in place of a 1 × 1 ``nn.Conv2d``.

    Maps ``(N, C_in, H, W)`` or ``(C_in, H, W)`` to the same with ``C_out`` channels, and to the height and width that
    ``nn.Conv2d`` gives with these strides and paddings. Outputs have the memory format of the inputs.

    Parameters
    ----------
    topology:
        Of as many inputs and outputs as there are channels; or its name, as for :class:`SparseCascade`.
    stride, padding, padding_mode, bias, device, dtype:
        As for ``nn.Conv2d``. A padding of zeros becomes the bias, as there.

    Attributes
    ----------
    cascade:
        The :class:`SparseCascade` that holds the parameters.

    Raises
    ------
    ValueError
        For a stride below 1, a padding below 0 or another word than "same" or "valid", or an unknown padding mode.
    """

    kernel_size, dilation, groups = (1, 1), (1, 1), 1

    def __init__(
        self,
        topology: Topology | str | Path,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        *,
        padding_mode: str = "zeros",
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"padding_mode is {padding_mode!r}: it is one of {', '.join(PADDING_MODES)}")
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"padding is {padding!r}: it is a number, two, 'same' or 'valid'")
            padding = 0  # which is what both words mean where the kernel has one pixel
        self.stride = _pair("stride", stride, 1)
        self.padding = _pair("padding", padding, 0)
        self.padding_mode = padding_mode
        self.cascade = SparseCascade(topology, bias, device, dtype)
        self.in_channels, self.out_channels = self.cascade.in_features, self.cascade.out_features

    def forward(self, input: Tensor) -> Tensor:
        """Apply the cascade to every pixel.

        Raises
        ------
        TypeError
            When ``input`` is complex, sparse or nested, or no tensor.
        ValueError
            When ``input`` is no image, or a batch of images, of ``C_in`` channels.
        """
        check_images(input, self.in_channels, self.cascade)
        x, last = input, is_channels_last(input)
        if self.padding != (0, 0):
            (high, wide), mode = self.padding, self.padding_mode
            x = functional.pad(x, (wide, wide, high, high), mode="constant" if mode == "zeros" else mode)
        if self.stride != (1, 1):
            x = x[..., :: self.stride[0], :: self.stride[1]]
        return over_channels(self.cascade, x, last)

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias of the cascade, ``(C_out,)``, or None."""
        return self.cascade.bias

    @property
    def weight(self) -> Tensor:
        """The matrix as ``nn.Conv2d`` keeps it, ``(C_out, C_in, 1, 1)``: computed, see :attr:`SparseCascade.weight`."""
        return computed(self.cascade.weight[:, :, None, None])

    def reset_parameters(self) -> None:
        """Draw the weights anew, as :meth:`SparseCascade.reset_parameters` does."""
        self.cascade.reset_parameters()

    def to_conv2d(self) -> nn.Conv2d:
        """An ordinary ``nn.Conv2d`` that computes the same, for inference or export; it shares no memory."""
        linear = self.cascade.to_linear()
        conv = nn.Conv2d(
            self.in_channels, self.out_channels, 1, self.stride, self.padding,
            bias=linear.bias is not None, device="meta",
            padding_mode=self.padding_mode,  # type: ignore[arg-type]
        )  # fmt: skip
        conv.weight = nn.Parameter(linear.weight.detach()[:, :, None, None], linear.weight.requires_grad)
        conv.bias = linear.bias
        return conv.train(self.training)

    def extra_repr(self) -> str:
        """What the cascade does not say, for ``print(model)``."""
        return f"stride={self.stride}, padding={self.padding}, padding_mode={self.padding_mode!r}"


def check_images(x: Tensor, channels: int, layer: SparseCascade) -> None:
    """Refuse what is no image, and no batch of images, of so many channels, for a cascade."""
    dense = isinstance(x, Tensor) and not x.is_nested and x.layout is torch.strided
    if not dense or x.is_complex() or layer.edge_weight.is_complex():
        layer._check(x)  # which says what is wrong
    if x.ndim not in (3, 4) or x.shape[-3] != channels:
        raise ValueError(f"the input has shape {tuple(x.shape)}: (N, {channels}, H, W) or ({channels}, H, W) is wanted")


def is_channels_last(x: Tensor) -> bool:
    """Whether a batch of images has its channels innermost in memory, and no other way to see it."""
    return x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def over_channels(layer: SparseCascade, x: Tensor, channels_last: bool) -> Tensor:
    """The cascade over the third dimension from the end, ``(..., C_in, H, W)`` to ``(..., C_out, H, W)``.

    The one place that knows how a cascade is given images: NCHW as it lies, which is how the kernels work inside, and
    channels-last with pixels as rows. What is returned has that memory format.
    """
    rows = x.movedim(-3, -1)
    if channels_last:
        y: Tensor = layer(rows)
        return y.movedim(-1, -3).contiguous(memory_format=torch.channels_last)
    layer._check(rows)
    *batch, channels, high, wide = x.shape
    images = x.reshape(prod(batch), channels, high * wide)
    y = cascade(images, layer.edge_weight, layer.bias, layer._wiring, layer.way)
    return y.view(*batch, layer.out_features, high, wide).contiguous()


def _pair(name: str, value: int | tuple[int, int], least: int) -> tuple[int, int]:
    """One number for height and width, or two."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(one, int) and one >= least for one in pair):
        raise ValueError(f"{name} is {value!r}: a whole number from {least}, or two, are wanted")
    return pair[0], pair[1]
