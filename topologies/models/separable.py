"""A topology as a PyTorch layer that stands in for a k × k ``torch.nn.Conv2d``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from topologies.models.cascade import SparseCascade, is_trained
from topologies.models.computed import computed
from topologies.models.pointwise import PADDING_MODES, check_images, is_channels_last, over_channels
from topologies.models.start import Fit, take_parameter, take_weight
from topologies.names import Source, at_sizes, checked
from topologies.topology import Topology

_Sizes = int | tuple[int, int]


class SparseConv2d(nn.Module):
    """A depthwise k × k convolution and a sparse cascade over the channels, in place of ``nn.Conv2d`` (figure 2a).

    Maps ``(N, C_in, H, W)`` or ``(C_in, H, W)`` to the same with ``C_out`` channels, and to the height and width that
    ``nn.Conv2d`` gives. It has k² · C_in · multiplier weights and those of the edges, and computes with the kernels
    whose slice of an input channel has a rank of at most ``multiplier``.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, padding_mode, bias, device, dtype:
        As for ``nn.Conv2d``.
    topology:
        Of ``in_channels * multiplier`` inputs and ``out_channels`` outputs; or what names one, as for
        :func:`replace_linear`, a budget of edges included.
    multiplier:
        Filters for each input channel.
    groups:
        1: it is there so that code which copies a convolution's arguments is told.

    Attributes
    ----------
    depthwise:
        The ``nn.Conv2d`` with the filters, without a bias.
    cascade:
        The :class:`SparseCascade` over the channels, with the bias.

    Raises
    ------
    ValueError
        For groups, a multiplier below 1, a topology of other sizes, or what ``nn.Conv2d`` refuses.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        topology: Source,
        multiplier: int = 1,
        stride: _Sizes = 1,
        padding: _Sizes | str = 0,
        dilation: _Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if groups != 1:
            raise ValueError(f"groups is {groups}: a SparseConv2d has one, its filters are one a channel already")
        if isinstance(multiplier, bool) or not isinstance(multiplier, int) or multiplier < 1:
            raise ValueError(f"multiplier is {multiplier!r}: a whole number of filters a channel is wanted, from 1")
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"padding_mode is {padding_mode!r}: it is one of {', '.join(PADDING_MODES)}")
        sized = at_sizes(topology, in_channels * multiplier, out_channels)
        self.cascade = SparseCascade(sized.topology, bias, device, dtype)
        self.depthwise = nn.Conv2d(
            in_channels, in_channels * multiplier, kernel_size, stride, padding, dilation, in_channels,
            bias=False, padding_mode=padding_mode, device=device, dtype=dtype,  # type: ignore[arg-type]
        )  # fmt: skip
        self.in_channels, self.out_channels, self.groups, self.multiplier = in_channels, out_channels, 1, multiplier
        self.kernel_size, self.padding_mode = self.depthwise.kernel_size, padding_mode
        self.stride, self.padding, self.dilation = (
            self.depthwise.stride,
            self.depthwise.padding,
            self.depthwise.dilation,
        )

    def forward(self, input: Tensor) -> Tensor:
        """Filter every channel, then apply the cascade to every pixel.

        Raises
        ------
        TypeError
            When ``input`` is complex, sparse or nested, or no tensor.
        ValueError
            When ``input`` is no image, or a batch of images, of ``C_in`` channels.
        """
        check_images(input, self.in_channels, self.cascade)
        return over_channels(self.cascade, self.depthwise(input), is_channels_last(input))

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias of the cascade, ``(C_out,)``, or None."""
        return self.cascade.bias

    @property
    def weight(self) -> Tensor:
        """The kernel as ``nn.Conv2d`` keeps it, ``(C_out, C_in, k, k)``: computed, see :attr:`SparseCascade.weight`."""
        return computed(self._kernel())

    def reset_parameters(self) -> None:
        """Draw the filters as ``nn.Conv2d`` does, and the edges as :meth:`SparseCascade.reset_parameters` does."""
        self.depthwise.reset_parameters()
        self.cascade.reset_parameters()

    def to_conv2d(self) -> nn.Conv2d:
        """An ordinary ``nn.Conv2d`` that computes the same, for inference or export; it shares no memory."""
        conv = nn.Conv2d(
            self.in_channels, self.out_channels,
            self.kernel_size, self.stride, self.padding, self.dilation,  # type: ignore[arg-type]
            bias=self.bias is not None, device="meta",
            padding_mode=self.padding_mode,  # type: ignore[arg-type]
        )  # fmt: skip
        conv.weight = nn.Parameter(self._kernel().detach().contiguous(), requires_grad=is_trained(self, "weight"))
        conv.bias = self.cascade.to_linear().bias
        return conv.train(self.training)

    def extra_repr(self) -> str:
        """What its parts do not say, for ``print(model)``."""
        return f"{self.in_channels}, {self.out_channels}, multiplier={self.multiplier}"

    def _kernel(self) -> Tensor:
        """The kernel that the filters and the cascade multiply out to, ``(C_out, C_in, k, k)``."""
        over = self.cascade.dense().T.view(self.out_channels, self.in_channels, self.multiplier)
        filters = self.depthwise.weight.view(self.in_channels, self.multiplier, *self.kernel_size)
        return torch.einsum("ocm,cmhw->ochw", over, filters)


def replace_conv2d(conv: nn.Conv2d, topology: Source, *, weights: Fit | None = None) -> SparseConv2d:
    """A sparse convolution to put where ``conv`` is, which has to be one without groups.

    What is kept is as for :func:`replace_linear`; strides, padding and dilation are kept too. A topology whose inputs
    are n times the input channels has n filters a channel. Where ``weights`` fits the dense kernel, the filters are the
    n leading singular vectors of the kernel's slice of each channel, which is the best separable kernel there is, and
    the cascade is fitted to what mixes them.

    Raises
    ------
    ValueError
        When the topology has other sizes than ``conv``, or ``conv`` has groups.
    """
    topology = checked(topology)  # of a file or a stack, the topology in it
    multiplier = max(1, topology.n_in // conv.in_channels) if isinstance(topology, Topology) else 1
    sparse = SparseConv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, topology, multiplier,  # type: ignore[arg-type]
        conv.stride, conv.padding, conv.dilation, conv.groups,  # type: ignore[arg-type]
        conv.bias is not None, conv.padding_mode, conv.weight.device, conv.weight.dtype,
    )  # fmt: skip
    filters, mixing = _separated(conv.weight, multiplier) if weights is not None else (None, conv.weight)
    frozen = not conv.weight.requires_grad
    take_weight(sparse.cascade, mixing, frozen, weights)
    take_parameter(sparse.depthwise.weight, filters, frozen)
    sparse.depthwise.weight.requires_grad_(not frozen)
    take_parameter(sparse.cascade.bias, conv.bias, conv.bias is not None and not conv.bias.requires_grad)
    return sparse.train(conv.training)


def _separated(kernel: Tensor, multiplier: int) -> tuple[Tensor, Tensor]:
    """The best filters ``(c_in n, 1, k, k)`` and mixing matrix ``(c_out, c_in n)`` for a kernel: its singular vectors.

    Raises
    ------
    ValueError
        When the kernel has no memory (the meta device).
    """
    if kernel.is_meta:
        raise ValueError("the dense weights have no memory (the meta device): there is nothing to fit")
    c_out, c_in, *size = kernel.shape
    slices = kernel.detach().float().flatten(2).transpose(0, 1)
    left, values, right = torch.linalg.svd(slices, full_matrices=False)
    rank = min(multiplier, values.shape[1])
    filters, mixing = slices.new_zeros(c_in, multiplier, *size), slices.new_zeros(c_in, c_out, multiplier)
    filters[:, :rank] = right[:, :rank].view(c_in, rank, *size)
    mixing[:, :, :rank] = left[:, :, :rank] * values[:, None, :rank]
    return filters.flatten(0, 1).unsqueeze(1), mixing.transpose(0, 1).flatten(1)
