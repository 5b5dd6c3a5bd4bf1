"""A model with sparse layers as a model in plain torch, for ONNX, quantisation and whatever knows no cascades."""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor, nn

from topologies.models.cascade import SparseCascade
from topologies.models.kinds import sparse_kind_of
from topologies.models.places import names_of, swap
from topologies.models.pointwise import SparseConv1x1
from topologies.topology import Topology


def fold(model: nn.Module) -> nn.Module:
    """A copy of a model in which every sparse layer is the dense one that computes the same; the model stays as it is.

    Layers of PyTorch's take the places of sparse ones: exact but for rounding, as hidden neurons are linear. Modes,
    devices, dtypes, what is frozen and hooks are kept. Cascades and 1 x 1 convolutions that shared their parameters
    still do.
    """
    copy = deepcopy(model)
    folded: list[tuple[list[str], nn.Module]] = []
    weights: dict[tuple[Tensor, Topology, str], nn.Parameter] = {}  # by the edges themselves: an id is used again
    for module, names in names_of(copy).items():
        kind = sparse_kind_of(module)
        if kind is None:
            continue
        dense = kind.fold(module)
        if isinstance(module, SparseCascade | SparseConv1x1):
            cascade = module if isinstance(module, SparseCascade) else module.cascade
            same = cascade.edge_weight, cascade.topology, kind.name
            dense.weight = weights.setdefault(same, dense.weight)
            if isinstance(cascade.bias, nn.Parameter):
                dense.bias = cascade.bias  # the copy's own, so that a bias which others have too stays theirs
        folded.append((names, dense))
    return swap(copy, folded)
