"""The kinds of dense layers that have a sparse form: what is read of one, and what stands for it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from topologies.models.attention import (
    SparseMultiheadAttention,
    attention_matrices,
    attention_parameters,
    replace_attention,
)
from topologies.models.cascade import SparseCascade
from topologies.models.matrices import Matrix
from topologies.models.pointwise import SparseConv1x1
from topologies.models.recurrent import (
    SparseGRU,
    SparseLSTM,
    recurrent_matrices,
    replace_recurrent,
    topologies_by_name,
)
from topologies.models.replace import replace_conv1d, replace_conv1x1, replace_linear
from topologies.models.separable import SparseConv2d, replace_conv2d
from topologies.models.start import Fit
from topologies.topology import Topology

Topologies = Mapping[str, Topology]
"""Those of a layer's cascades, by where they stand in the sparse module."""


@dataclass(frozen=True)
class Kind:
    """One kind of layer whose matrices become cascades.

    Parameters
    ----------
    name:
        What tables and checkpoints call it.
    dense:
        The class that makes a module one of this kind, subclasses with the same ``forward`` included; None for others.
    sparse:
        The class of the sparse module.
    matrices:
        The matrices of a dense module.
    replace:
        Makes the sparse module of a dense one and a topology for each matrix, and starts it near the dense weights
        where a fit is given.
    fold:
        Makes the dense module of a sparse one.
    parameters:
        Names of the parameters that a dense module has.
    obstacle:
        Why this dense module has no sparse form here, or None.
    """

    name: str
    dense: Callable[[nn.Module], type[nn.Module] | None]
    sparse: type[nn.Module]
    matrices: Callable[[Any], tuple[Matrix, ...]]
    replace: Callable[[Any, Topologies, Fit | None], nn.Module]
    fold: Callable[[Any], Any]
    parameters: Callable[[Any], set[str]] = lambda module: {"weight", "bias"}
    obstacle: Callable[[Any], str | None] = lambda module: None


def _only(replace: Callable[..., nn.Module]) -> Callable[[Any, Topologies, Fit | None], nn.Module]:
    """A function that replaces a layer of one matrix, as one that takes its topology by name."""
    return lambda module, topologies, weights: replace(module, *topologies.values(), weights=weights)


def _of(parent: type[nn.Module]) -> Callable[[nn.Module], type[nn.Module] | None]:
    return lambda module: parent if isinstance(module, parent) else None


def _conv2d(module: nn.Module, is_pointwise: bool) -> type[nn.Module] | None:
    """``nn.Conv2d`` of one whose kernel has one pixel, or several."""
    return nn.Conv2d if isinstance(module, nn.Conv2d) and (module.kernel_size == (1, 1)) == is_pointwise else None


def _conv1d(module: nn.Module) -> type[nn.Module] | None:
    """The class ``Conv1D`` of Hugging Face's transformers, known by its name so that nothing has to be imported."""
    classes = (one for one in type(module).__mro__ if one.__name__ == "Conv1D")
    return next((one for one in classes if one.__module__.startswith("transformers.")), None)


def _without_groups(conv: nn.Conv2d) -> str | None:
    return "a grouped convolution: it is sparse by itself" if conv.groups != 1 else None


def _matrix(path: str, n_in: int, n_out: int) -> tuple[Matrix, ...]:
    return (Matrix(path, n_in, n_out, n_in * n_out),)


def _of_kernel(conv: nn.Conv2d) -> tuple[Matrix, ...]:
    """The matrix over the channels of a separable convolution, and the filters of one for each channel beside it."""
    filters = conv.kernel_size[0] * conv.kernel_size[1] * conv.in_channels
    return (Matrix("cascade", conv.in_channels, conv.out_channels, filters * conv.out_channels, filters),)


def _recurrent(module: nn.LSTM | nn.GRU, topologies: Topologies, weights: Fit | None) -> nn.Module:
    return replace_recurrent(module, topologies_by_name(topologies), weights=weights)


def _flat(module: nn.RNNBase) -> set[str]:
    return {name for names in module._all_weights for name in names}


KINDS = (
    Kind(
        "Linear",
        _of(nn.Linear),
        SparseCascade,
        lambda module: _matrix("", module.in_features, module.out_features),
        _only(replace_linear),
        SparseCascade.to_linear,
    ),
    Kind(
        "Conv1D",
        _conv1d,
        SparseCascade,
        lambda module: _matrix("", *module.weight.shape),
        _only(replace_conv1d),
        SparseCascade.to_linear,
    ),
    Kind(
        "Conv2d 1x1",
        lambda module: _conv2d(module, is_pointwise=True),
        SparseConv1x1,
        lambda module: _matrix("cascade", module.in_channels, module.out_channels),
        _only(replace_conv1x1),
        SparseConv1x1.to_conv2d,
        obstacle=_without_groups,
    ),
    Kind(
        "Conv2d",
        lambda module: _conv2d(module, is_pointwise=False),
        SparseConv2d,
        _of_kernel,
        _only(replace_conv2d),
        SparseConv2d.to_conv2d,
        obstacle=_without_groups,
    ),
    Kind(
        "LSTM",
        _of(nn.LSTM),
        SparseLSTM,
        recurrent_matrices,
        _recurrent,
        SparseLSTM.to_lstm,
        _flat,
    ),
    Kind(
        "GRU",
        _of(nn.GRU),
        SparseGRU,
        recurrent_matrices,
        _recurrent,
        SparseGRU.to_gru,
        _flat,
    ),
    Kind(
        "Attention",
        _of(nn.MultiheadAttention),
        SparseMultiheadAttention,
        attention_matrices,
        lambda module, topologies, weights: replace_attention(module, topologies, weights=weights),
        SparseMultiheadAttention.to_multihead_attention,
        attention_parameters,
    ),
)
"""All kinds; what is folded of a sparse class that two have is the first one's."""

WITHOUT_SPARSE_FORM = (
    nn.modules.conv._ConvNd,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.Bilinear,
)
"""Layers of matrices that have no sparse form here, and are listed so that nobody takes them for converted."""


def kind_of(module: nn.Module) -> Kind | None:
    """The kind of a dense layer, None for any other module."""
    return next((kind for kind in KINDS if kind.dense(module) is not None), None)


def sparse_kind_of(module: nn.Module) -> Kind | None:
    """The kind of dense layer that a module stands for, None where it does not."""
    return next((kind for kind in KINDS if isinstance(module, kind.sparse)), None)


def cascades_of(module: nn.Module) -> dict[str, SparseCascade]:
    """The cascades of a sparse module by where they stand in it, "" where it is one."""
    return {path: part for path, part in module.named_modules() if isinstance(part, SparseCascade)}
