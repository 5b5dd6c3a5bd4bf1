"""A model with sparse layers as a model in plain torch, for ONNX, quantisation and whatever knows no cascades."""

from __future__ import annotations

from copy import deepcopy

from torch import nn

from topologies.models.kinds import cascade_of, sparse_kind_of
from topologies.models.places import names_of, swap
from topologies.topology import Topology


def fold(model: nn.Module) -> nn.Module:
    """A copy of a model in which every sparse layer is the dense one that computes the same; the model stays as it is.

    ``nn.Linear`` and ``nn.Conv2d`` take the places of cascades: exact but for rounding, as hidden neurons are linear.
    Modes, devices, dtypes, what is frozen and hooks are kept. Layers that shared their parameters still do.
    """
    copy = deepcopy(model)
    folded: list[tuple[list[str], nn.Module]] = []
    weights: dict[tuple[int, Topology, str], nn.Parameter] = {}
    for module, names in names_of(copy).items():
        kind = sparse_kind_of(module)
        if kind is None:
            continue
        cascade, dense = cascade_of(module), kind.fold(module)
        same = id(cascade.edge_weight), cascade.topology, kind.name
        dense.weight = weights.setdefault(same, nn.Parameter(dense.weight.detach(), cascade.edge_weight.requires_grad))
        if isinstance(cascade.bias, nn.Parameter):
            dense.bias = cascade.bias  # the copy's own, so that a bias which others have too stays theirs
        folded.append((names, dense))
    return swap(copy, folded)
