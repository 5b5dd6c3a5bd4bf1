"""One dense layer replaced by a cascade of its sizes."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from topologies.models.cascade import SparseCascade
from topologies.models.pointwise import SparseConv1x1
from topologies.names import Source, at_sizes

_Sparse = TypeVar("_Sparse", SparseCascade, SparseConv1x1)


def replace_linear(linear: nn.Linear, topology: Source) -> SparseCascade:
    """A cascade to put where ``linear`` is: the same sizes, device, dtype and mode, and a copy of its bias.

    >>> model.head = replace_linear(model.head, "champion.safetensors")
    >>> model.head = replace_linear(model.head, "butterfly(depth=8)")  # of the layer's sizes
    >>> model.head = replace_linear(model.head, 20000)                 # random regular of so many trainable edges

    The edges start from a fresh draw: the dense weights do not carry over. What was frozen stays frozen.

    Raises
    ------
    ValueError
        When the topology has other sizes than ``linear``, see :func:`topologies.names.at_sizes`.
    """
    sized = at_sizes(topology, linear.in_features, linear.out_features)
    cascade = SparseCascade(sized.topology, linear.bias is not None, linear.weight.device, linear.weight.dtype)
    return _as_before(cascade, linear)


def replace_conv1x1(conv: nn.Conv2d, topology: Source) -> SparseConv1x1:
    """A sparse 1 × 1 convolution to put where ``conv`` is, which has to be one without groups.

    What is kept, and what is raised, is as for :func:`replace_linear`; strides and padding are kept too.
    """
    sparse = SparseConv1x1(
        at_sizes(topology, conv.in_channels, conv.out_channels).topology,
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        padding_mode=conv.padding_mode,
        bias=conv.bias is not None,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    )
    return _as_before(sparse, conv)


def _as_before(sparse: _Sparse, dense: nn.Linear | nn.Conv2d) -> _Sparse:
    """With the bias, the mode and what is frozen of the dense layer."""
    cascade = sparse if isinstance(sparse, SparseCascade) else sparse.cascade
    cascade.edge_weight.requires_grad_(dense.weight.requires_grad)
    if cascade.bias is not None and dense.bias is not None:
        with torch.no_grad():
            cascade.bias.copy_(dense.bias)
        cascade.bias.requires_grad_(dense.bias.requires_grad)
    return sparse.train(dense.training)
