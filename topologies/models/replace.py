"""One dense layer that is one matrix, replaced by a cascade of its sizes."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn

from topologies.models.cascade import SparseCascade
from topologies.models.pointwise import SparseConv1x1
from topologies.models.start import Fit, take_parameter, take_weight
from topologies.names import Source, at_sizes

_Sparse = TypeVar("_Sparse", SparseCascade, SparseConv1x1)


def replace_linear(linear: nn.Linear, topology: Source, *, weights: Fit | None = None) -> SparseCascade:
    """A cascade to put where ``linear`` is: the same sizes, device, dtype and mode, and a copy of its bias.

    >>> head = replace_linear(model.head, "champion.safetensors")
    >>> head = replace_linear(model.head, "butterfly(depth=8)")  # of the layer's sizes
    >>> head = replace_linear(model.head, 200)                   # random regular, of so many trainable edges
    >>> head = replace_linear(model.head, 200, weights=fit)      # evaluators.reconstruction.fit
    >>> model.head = head

    The edges start from a fresh draw, or near the dense weights where ``weights`` fits them: a function of the topology
    and the matrix ``(n_in, n_out)``, whose result has trainable ``weights``. What was frozen stays frozen, also
    edges that were drawn, so give ``weights`` for a frozen layer.

    Raises
    ------
    ValueError
        When the topology has other sizes than ``linear``, see :func:`topologies.names.at_sizes`.
    """
    sized = at_sizes(topology, linear.in_features, linear.out_features)
    cascade = SparseCascade(sized.topology, linear.bias is not None, linear.weight.device, linear.weight.dtype)
    return _as_before(cascade, linear, linear.weight, weights)


def replace_conv1d(conv: nn.Module, topology: Source, *, weights: Fit | None = None) -> SparseCascade:
    """A cascade to put where a ``Conv1D`` of Hugging Face's transformers is: a linear layer whose weight is turned.

    What is kept, and what is raised, is as for :func:`replace_linear`.
    """
    weight: Tensor = conv.weight  # type: ignore[assignment]
    cascade = SparseCascade(at_sizes(topology, *weight.shape).topology, True, weight.device, weight.dtype)
    return _as_before(cascade, conv, weight.T, weights)


def replace_conv1x1(conv: nn.Conv2d, topology: Source, *, weights: Fit | None = None) -> SparseConv1x1:
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
    return _as_before(sparse, conv, conv.weight.flatten(1), weights)


def _as_before(sparse: _Sparse, dense: nn.Module, weight: Tensor, weights: Fit | None) -> _Sparse:
    """With the bias, the mode and what is frozen of the dense layer, whose weight is ``(n_out, n_in)``."""
    cascade = sparse if isinstance(sparse, SparseCascade) else sparse.cascade
    of_dense = dict(dense.named_parameters())
    take_weight(cascade, weight, not of_dense["weight"].requires_grad, weights)
    bias = of_dense.get("bias")
    take_parameter(cascade.bias, bias, bias is not None and not bias.requires_grad)
    return sparse.train(dense.training)
