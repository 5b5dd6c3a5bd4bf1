"""The kinds of dense layers that have a sparse form: what is read of one, and what stands for it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from topologies.models.cascade import SparseCascade
from topologies.models.pointwise import SparseConv1x1
from topologies.models.replace import replace_conv1x1, replace_linear
from topologies.topology import Topology


@dataclass(frozen=True)
class Kind:
    """One kind of layer that is one matrix.

    Parameters
    ----------
    name:
        What tables and checkpoints call it.
    dense, sparse:
        The class of the dense module, subclasses with the same ``forward`` included, and that of the sparse one.
    sizes:
        Inputs and outputs of the matrix, of a dense or a sparse module.
    replace:
        Makes the sparse module of a dense one and a topology of its sizes.
    fold:
        Makes the dense module of a sparse one.
    obstacle:
        Why this dense module has no sparse form here, or None.
    """

    name: str
    dense: type[nn.Module]
    sparse: type[nn.Module]
    sizes: Callable[[Any], tuple[int, int]]
    replace: Callable[[Any, Topology], nn.Module]
    fold: Callable[[Any], Any]
    obstacle: Callable[[Any], str | None] = lambda module: None


def _not_1x1(conv: nn.Conv2d) -> str | None:
    """What keeps a convolution from being one matrix over the channels of a pixel."""
    if conv.groups != 1:
        return "a grouped convolution: it is sparse by itself"
    if conv.kernel_size != (1, 1):
        return f"a {' x '.join(map(str, conv.kernel_size))} convolution: only 1 x 1 ones have a sparse form here"
    return None


KINDS = (
    Kind(
        "Linear",
        nn.Linear,
        SparseCascade,
        lambda module: (module.in_features, module.out_features),
        replace_linear,
        SparseCascade.to_linear,
    ),
    Kind(
        "Conv2d 1x1",
        nn.Conv2d,
        SparseConv1x1,
        lambda module: (module.in_channels, module.out_channels),
        replace_conv1x1,
        SparseConv1x1.to_conv2d,
        _not_1x1,
    ),
)
"""All kinds."""

WITHOUT_SPARSE_FORM = (
    nn.modules.conv._ConvNd,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.MultiheadAttention,
    nn.Bilinear,
)
"""Layers of matrices that have no sparse form here, and are listed so that nobody takes them for converted."""


def kind_of(module: nn.Module) -> Kind | None:
    """The kind of a dense layer, None for any other module."""
    return next((kind for kind in KINDS if isinstance(module, kind.dense)), None)


def sparse_kind_of(module: nn.Module) -> Kind | None:
    """The kind of dense layer that a module stands for, None where it does not."""
    return next((kind for kind in KINDS if isinstance(module, kind.sparse)), None)


def cascade_of(module: nn.Module) -> SparseCascade:
    """The cascade of a sparse module."""
    return module if isinstance(module, SparseCascade) else module.cascade  # type: ignore[return-value]
