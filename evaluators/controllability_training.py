"""Controllability's trained and fair readings: gradient descent on where control is added and where it goes.

Weights ``exp(θ)`` say how a neuron shares its control over the pairs it sees, and over its out-edges. They start even,
which is the uniform reading. A share is a weight over the sum of all weights or over the sum at the start, whichever is
more: control may be left unused, which changes no K that can be reached but lets all caps hold at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluators.controllability import Stage, limited, stages
from topologies.topology import Topology

RATE = 0.2
"""Adam's learning rate at the first step, falling to zero along a straight line."""


class Assignment(NamedTuple):
    """What one layer does, as arrays whose last axes are ``(n_in, n_in)`` by pairs or ``(n_in,)`` summed.

    ``added`` and ``control``: by the neurons after the layer, ``(n_out, ...)``. ``ratio``: the part of its source's
    control that takes each edge, ``(edges, ...)``.
    """

    added: NDArray[np.float64]
    ratio: NDArray[np.float64]
    control: NDArray[np.float64]


class _Layer(NamedTuple):
    """A stage on torch's side; ``pairs`` is 1 where control can be added, ``room`` at least 1."""

    sources: Tensor
    targets: Tensor
    fan_out: Tensor
    added: Tensor
    pairs: Tensor
    room: Tensor


def train(
    topology: Topology, objective: Literal["trained", "fair"], by_pair: bool, steps: int, device: str = "cpu"
) -> list[Assignment]:
    """Every layer's assignment after some gradient steps, the best seen; inputs first.

    Steps are made in single precision, the result in double: caps hold to its rounding.
    ``"trained"`` minimises Eq. 20, ``"fair"`` the sum of ((n_in - 1) / n_in - K)².
    """
    layers = [_on_device(stage, by_pair, device, torch.float32) for stage in stages(topology)]
    shape = (topology.n_in,) * (2 if by_pair else 1)
    over_pairs = [torch.zeros(layer.pairs.shape, device=device, requires_grad=True) for layer in layers]
    over_edges = [
        torch.zeros((layer.sources.shape[0], *shape), device=device, requires_grad=place > 0)
        for place, layer in enumerate(layers)  # inputs have no control that could go anywhere (Eq. 10)
    ]
    parameters = [weights for weights in (*over_pairs, *over_edges) if weights.requires_grad]
    adam = torch.optim.Adam(parameters, lr=RATE)
    slower = torch.optim.lr_scheduler.LambdaLR(adam, lambda done: 1 - done / max(steps, 1))
    error = _ERRORS[objective]
    lowest, best = float("inf"), [weights.detach().clone() for weights in parameters]
    for _ in range(steps):
        adam.zero_grad()
        loss = error(_forward(layers, over_pairs, over_edges, shape)[-1][-1])
        if loss.item() < lowest:
            lowest, best = loss.item(), [weights.detach().clone() for weights in parameters]
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        slower.step()
    with torch.no_grad():
        for weights, kept in zip(parameters, best, strict=True):
            weights.copy_(kept)
        exact = [_on_device(stage, by_pair, device, torch.float64) for stage in stages(topology)]
        found = _forward(exact, [one.double() for one in over_pairs], [one.double() for one in over_edges], shape)
    return [Assignment(*(part.cpu().numpy() for part in parts)) for parts in found]


def _forward(
    layers: list[_Layer], over_pairs: list[Tensor], over_edges: list[Tensor], shape: tuple[int, ...]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Added control, ratios and control of every layer."""
    control = torch.zeros((shape[0], *shape)).to(layers[0].pairs)  # Eq. 10; its type and device
    found = []
    for layer, of_pairs, of_edges in zip(layers, over_pairs, over_edges, strict=True):
        weights = of_pairs.exp() * layer.pairs
        evenly = layer.pairs.flatten(1).sum(1).clip(1)
        added = weights * _column(layer.added / weights.flatten(1).sum(1).clip(evenly), weights)
        if len(shape) == 2:
            added = added.clip(0, 1)
        weights = of_edges.exp()
        leaving = torch.zeros_like(control).index_add(0, layer.sources, weights)
        ratio = weights / leaving.clip(_column(layer.fan_out, leaving))[layer.sources]
        arriving = torch.zeros_like(added).index_add(0, layer.targets, control[layer.sources] * ratio)
        control = limited(arriving + added, layer.room)
        found.append((added, ratio, control))
    return found


def _column(values: Tensor, like: Tensor) -> Tensor:
    """One value a neuron, shaped to go with ``(neurons, ...)``."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def _eq_20(control: Tensor) -> Tensor:
    """Squared lack of ratios at each output."""
    return (control.shape[1] - 1 - control.flatten(1).sum(1)).square().sum()


def _unevenness(control: Tensor) -> Tensor:
    """Squared distance of K from full and even control."""
    by_input = control.sum(2) if control.ndim == 3 else control
    return (1 - 1 / control.shape[1] - by_input).square().sum()


_ERRORS: dict[str, Callable[[Tensor], Tensor]] = {"trained": _eq_20, "fair": _unevenness}


def _on_device(stage: Stage, by_pair: bool, device: str, dtype: torch.dtype) -> _Layer:
    fan_out = np.maximum(np.bincount(stage.sources, minlength=stage.n_in), 1)
    floats = (fan_out, stage.added, stage.pairs(by_pair), np.maximum(stage.room, 1))
    return _Layer(
        torch.tensor(stage.sources, device=device),
        torch.tensor(stage.targets, device=device),
        *(torch.tensor(values, dtype=dtype, device=device) for values in floats),
    )
