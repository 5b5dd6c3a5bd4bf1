"""Models whose layers are a candidate's cascades: the usual one, and those that a user's own function makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from evaluators.function import imported
from topologies.families.blocks import dense
from topologies.models.cascade import SparseCascade
from topologies.stack import AnyTopology, Sizes, Stack

ModelFunction = Callable[[list[SparseCascade], int], nn.Module]
"""Makes a model of cascades, one a place, and of the number of outputs that is wanted.

The model maps ``(batch, inputs)`` to ``(batch, outputs)``, and draws its parameters from PyTorch's global generator.
"""


def cascades_of(topology: AnyTopology, places: int) -> list[SparseCascade]:
    """A cascade for every place, each with weights of its own; the kernel's bits depend on no thread.

    A stack has a topology for each; one that is no stack is used in all of them.
    """
    of_places = topology.places if isinstance(topology, Stack) else (topology,) * places
    return [SparseCascade(one, way="fused") for one in of_places]


class Perceptron(nn.Module):
    """Hidden layers with ReLU whose weight matrices are cascades, and a dense head."""

    def __init__(self, cascades: Sequence[SparseCascade], outputs: int) -> None:
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


def check_model(make: ModelFunction, sizes: Sizes, inputs: int, outputs: int) -> None:
    """Raise ValueError for a function whose model does not use every cascade, or has other outputs than are wanted."""
    places = len(sizes)
    cascades = cascades_of(Stack(tuple(dense(*size) for size in sizes)), places)
    try:
        model = make(cascades, outputs)
        if not isinstance(model, nn.Module):
            raise ValueError(f"it returned a {type(model).__name__}, not a torch.nn.Module")
        found = model.train()(torch.ones(2, inputs) + torch.arange(2)[:, None])
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        of = f"{places} cascades of {', '.join(f'{n_in} x {n_out}' for n_in, n_out in dict.fromkeys(sizes))}"
        raise ValueError(f"the model function fails with {of}: {told}") from error
    if not isinstance(found, Tensor) or found.shape != (2, outputs):
        what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"the model function's model answers a batch of 2 with {what}, where (2, {outputs}) is wanted")
    own = {id(parameter) for parameter in model.parameters()}
    weights = [one.edge_weight for one in cascades]
    gradients = torch.autograd.grad(found.sum(), weights, allow_unused=True) if found.requires_grad else [None] * places
    used = [id(one) in own and gradient is not None for one, gradient in zip(weights, gradients, strict=True)]
    if not all(used):
        raise ValueError(
            f"the model function ignores cascade {used.index(False)} of {places}: every one has to be a module of the "
            "model and has to reach its outputs, or else the search would compare nothing"
        )
