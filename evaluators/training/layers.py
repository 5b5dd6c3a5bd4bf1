"""The kinds of layers that studies compare: all are made of a topology, and have no more parameters than it has."""

from __future__ import annotations

import math

import torch

from evaluators.training.models import LayerFunction, cascade, sparse
from topologies.models.cascade import SparseCascade
from topologies.models.circulant import BlockCirculantLinear, block_of
from topologies.models.circulant import parameters_of as circulant_parameters
from topologies.models.hashed import HashedLinear
from topologies.topology import Topology


def dense_xavier(topology: Topology) -> SparseCascade:
    """The topology's cascade, started by Xavier's rule for dense layers: the control of the paper's section IV.

    The bound of a layer is sqrt(6 / (n_in + n_out)), however few of its edges there are.
    """
    started = cascade(topology)
    bounds = torch.cat(
        [
            torch.full((layer.n_trainable,), math.sqrt(6 / (layer.n_in + layer.n_out)), dtype=torch.float32)
            for layer in topology.layers
        ]
    )
    with torch.no_grad():
        started.edge_weight.copy_((2 * torch.rand(bounds.shape) - 1) * bounds)
    return started


def hashed(topology: Topology) -> HashedLinear:
    """A layer of HashedNets with as many parameters as the topology has trainable edges."""
    most = topology.n_in * topology.n_out
    return HashedLinear(topology.n_in, topology.n_out, min(topology.n_trainable, most))


def circulant(topology: Topology) -> BlockCirculantLinear:
    """A layer of circulant blocks, the smallest with at most as many parameters as the topology has trainable edges."""
    block = block_of(topology.n_in, topology.n_out, topology.n_trainable)
    return BlockCirculantLinear(topology.n_in, topology.n_out, block)


LAYERS: dict[str, LayerFunction] = {
    "cascade": sparse,
    "dense_xavier": dense_xavier,
    "hashed": hashed,
    "circulant": circulant,
}
"""What recipes of studies may put at the places of a model, by name."""


def find_layer(name: str) -> LayerFunction:
    """The kind of layer of this name; ValueError where there is none."""
    if name not in LAYERS:
        raise ValueError(f"layer = {name!r}: one of {', '.join(LAYERS)}")
    return LAYERS[name]


def parameters_of(name: str, topology: Topology) -> int:
    """How many parameters a layer of this kind has, beside its bias."""
    match name:
        case "circulant":
            size = (topology.n_in, topology.n_out)
            return circulant_parameters(*size, block_of(*size, topology.n_trainable))
        case "hashed":
            return min(topology.n_trainable, topology.n_in * topology.n_out)
        case _:
            return topology.n_trainable
