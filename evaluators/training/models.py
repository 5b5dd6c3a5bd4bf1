"""Models whose layers are a candidate's cascades: the usual one, and those that a user's own function makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from evaluators.function import imported
from topologies.families.blocks import low_rank
from topologies.models.cascade import SparseCascade
from topologies.models.circulant import BlockCirculantLinear
from topologies.models.hashed import HashedLinear
from topologies.stack import AnyTopology, Sizes, Stack, each_size
from topologies.topology import Topology


class DenseLayer(nn.Linear):
    """What a topology of one layer with all edges is: trained as a dense product it takes a quarter of the time."""

    def reset_parameters(self) -> None:
        """Start as a cascade does: weights by Xavier's rule, and no bias."""
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)

    def dense(self) -> Tensor:
        """The matrix, ``(n_in, n_out)``."""
        return self.weight.T


Layer = SparseCascade | DenseLayer | HashedLinear | BlockCirculantLinear
"""What stands at a place of a model: a cascade, or a rival of it. Each maps ``(..., n_in)`` to ``(..., n_out)``, and
has ``in_features``, ``out_features`` and the matrix ``dense()``."""

LayerFunction = Callable[[Topology], Layer]
"""Makes the layer of a place from its topology, and draws its weights from PyTorch's global generator."""

ModelFunction = Callable[[list[Any], int], nn.Module]
"""Makes a model of cascades (or of other layers), one a place, and of the number of outputs that is wanted.

The model maps ``(batch, inputs)`` to ``(batch, outputs)``, and draws its parameters from PyTorch's global generator.
"""


def cascade(topology: Topology) -> SparseCascade:
    """The topology's cascade; the kernel's bits depend on no thread."""
    return SparseCascade(topology, way="fused")


def sparse(topology: Topology) -> SparseCascade | DenseLayer:
    """The topology's cascade, or the dense layer that it is."""
    size = topology.n_in, topology.n_out
    return DenseLayer(*size) if topology.depth == 1 and topology.n_trainable == prod(size) else cascade(topology)


def layers_of(topology: AnyTopology, places: int, layer: LayerFunction = sparse) -> list[Layer]:
    """A layer for every place, each with weights of its own, by default a cascade.

    A stack has a topology for each; one that is no stack is used in all of them.
    """
    of_places = topology.places if isinstance(topology, Stack) else (topology,) * places
    return [layer(one) for one in of_places]


class Perceptron(nn.Module):
    """Hidden layers with ReLU whose weight matrices are cascades, and a dense head."""

    def __init__(self, cascades: Sequence[Layer], outputs: int) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(cascades)
        self.head = nn.Linear(cascades[-1].out_features, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, inputs)`` to ``(batch, outputs)``."""
        for layer in self.hidden:
            x = functional.relu(layer(x))
        return self.head(x)  # type: ignore[no-any-return]


def model_function(given: str | ModelFunction | None) -> ModelFunction:
    """The function that makes a model: by default :class:`Perceptron`, or a function ``package.module:function``.

    Raises
    ------
    ValueError
        When there is no such function.
    """
    if given is None:
        return Perceptron
    found = given if not isinstance(given, str) else imported(given, "model")
    if not callable(found):
        raise ValueError(f"model {given!r} is no function that makes a model of cascades")
    return found


def check_model(make: ModelFunction, sizes: Sizes, inputs: int, outputs: int, layer: LayerFunction = sparse) -> None:
    """Raise ValueError for a function whose model does not train every cascade, or has other outputs than wanted."""
    places = len(sizes)
    cascades = layers_of(Stack(tuple(low_rank(*size, 1) for size in sizes)), places, layer)
    try:
        model = make(cascades, outputs)
        if not isinstance(model, nn.Module):
            raise ValueError(f"it returned a {type(model).__name__}, not a torch.nn.Module")
        found = model.train()(torch.ones(2, inputs) + torch.arange(2)[:, None])
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        of = f"{places} cascades of {each_size(dict.fromkeys(sizes))}"
        raise ValueError(f"the model function fails with {of}: {told}") from error
    if not isinstance(found, Tensor) or found.shape != (2, outputs):
        what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"the model function's model answers a batch of 2 with {what}, where (2, {outputs}) is wanted")
    own = {id(parameter) for parameter in model.parameters()}
    weights = [next(one.parameters()) for one in cascades]
    trained = [one.requires_grad for one in weights]
    if not all(trained):
        raise ValueError(
            f"the model function's cascade {trained.index(False)} is frozen: its weights have to be trained"
        )
    gradients = torch.autograd.grad(found.sum(), weights, allow_unused=True) if found.requires_grad else [None] * places
    used = [id(one) in own and gradient is not None for one, gradient in zip(weights, gradients, strict=True)]
    if not all(used):
        raise ValueError(
            f"the model function ignores cascade {used.index(False)} of {places}: every one has to be a module of the "
            "model and has to reach its outputs, or else the search would compare nothing"
        )
