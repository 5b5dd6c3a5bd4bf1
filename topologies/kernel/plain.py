"""A cascade's edges on a device, and the sparse products over them, which can be differentiated as often as wanted.

``embedding_bag`` is the fastest plain PyTorch form of such a product for arbitrary fan-in, but PyTorch has only its
first derivative. The product is linear in the weights and in the values, so its derivatives are sums of the same two
kinds: over the edges into a neuron (or, the other way round, out of one), and over the columns at both ends of an edge.
Each is written here as the derivative of the other; nothing of the size edges times columns is ever kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import embedding_bag

from topologies.layer import Layer
from topologies.topology import Topology


@dataclass(frozen=True)
class Direction:
    """The edges of one layer in order of the neuron they go to, in one of their two directions.

    ``sources`` and ``targets``, ``(edges,)``, are their ends, ``starts``, ``(n_out,)``, each target's first edge, and
    ``order`` the places that they have in the order of the other direction.
    """

    sources: Tensor
    targets: Tensor
    starts: Tensor
    order: Tensor


Directions = list[tuple[Direction, Direction]]
"""For every layer the direction from the inputs on, and the one back."""
_Over = Callable[[Tensor, Tensor, Direction, Direction], Tensor]


class Edges(NamedTuple):
    """All edges of a cascade on one device, and the numbers of the trainable ones."""

    directions: Directions
    trainable: Tensor

    @staticmethod
    def of(topology: Topology, device: torch.device) -> Edges:
        """The edges of a topology, whatever the default device is."""
        trainable = np.flatnonzero(np.concatenate([layer.trainable for layer in topology.layers]))
        return Edges([_directions(layer, device) for layer in topology.layers], _indices(trainable, device))


def _directions(layer: Layer, device: torch.device) -> tuple[Direction, Direction]:
    by_source = np.argsort(layer.sources, kind="stable")
    ends = layer.sources[by_source], layer.targets[by_source]
    ahead = layer.sources, layer.targets, np.cumsum(layer.fan_in) - layer.fan_in, np.argsort(by_source)
    behind = ends[1], ends[0], np.cumsum(layer.fan_out) - layer.fan_out, by_source
    first, second = (Direction(*(_indices(values, device) for values in one)) for one in (ahead, behind))
    return first, second


def _indices(values: NDArray[np.integer], device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.int64)).to(device)


def multiply(x: Tensor, weight: Tensor, edges: Edges) -> Tensor:
    """Rows ``(rows, n_in)`` through all layers, ``(rows, n_out)``, by the trainable weights of the cascade."""
    ones = weight.new_ones(sum(ahead.sources.numel() for ahead, _ in edges.directions))
    return carry(ones.index_copy(0, edges.trainable, weight), x.T, edges.directions).T.contiguous()


def carry(weights: Tensor, values: Tensor, directions: Directions) -> Tensor:
    """Values ``(n_in, columns)`` over all layers: ``(n_out, columns)``.

    ``weights``, ``(edges,)``, are those of all layers, each in order of (target, source). Compilers and tracers, which
    want first derivatives only, are given PyTorch's own function.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return _last(weights, values, directions)
    return _Cascade.apply(weights, values, directions)  # type: ignore[no-any-return, no-untyped-call]


def _by_layer(weights: Tensor, directions: Directions) -> tuple[Tensor, ...]:
    return torch.split(weights, [ahead.sources.numel() for ahead, _ in directions])


def _last(weights: Tensor, values: Tensor, directions: Directions) -> Tensor:
    """What is left of the values after all layers; hidden ones are let go at once, so that memory is used again."""
    for of_layer, (ahead, behind) in zip(_by_layer(weights, directions), directions, strict=True):
        values = _sums(of_layer, values, ahead, behind)
    return values


def _before(weights: Tensor, values: Tensor, directions: Directions, over: _Over) -> list[Tensor]:
    """What arrives at every layer."""
    found = [values]
    for of_layer, (ahead, behind) in zip(_by_layer(weights, directions)[:-1], directions, strict=False):
        found.append(over(of_layer, found[-1], ahead, behind))
    return found


class _Cascade(torch.autograd.Function):
    """All layers as one step of autograd's, whose overhead would be most of the time of a small one.

    Hidden values are computed again on the way back rather than kept.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(weights: Tensor, values: Tensor, directions: Directions) -> Tensor:
        return _last(weights, values, directions)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Directions], output: Tensor) -> None:
        *tensors, ctx.directions = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Gradients of the weights and of the inputs, layer by layer from the outputs on."""
        (weights, values), (wanted,) = ctx.saved_tensors, gradients
        # Where gradients are on, or tangents arrive, what is computed here is differentiated in turn.
        again = torch.is_grad_enabled() or forward_ad._current_level >= 0
        over, match = (_over, _match) if again else (_sums, _products)
        before = _before(weights, values, ctx.directions, over)
        layers = list(zip(_by_layer(weights, ctx.directions), before, ctx.directions, strict=True))
        found = []
        for of_layer, at, (ahead, behind) in reversed(layers):
            found.append(match(wanted, at, ahead, behind))
            wanted = over(of_layer.index_select(0, behind.order), wanted, behind, ahead)
        return torch.cat(found[::-1]), wanted, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        (weights, values), (of_weights, moved, _) = ctx.saved_tensors, tangents
        before = _before(weights, values, ctx.directions, _over)
        by_layer = (_by_layer(some, ctx.directions) for some in (weights, of_weights))
        for of_layer, tangent, at, both in zip(*by_layer, before, ctx.directions, strict=True):
            moved = _over(tangent, at, *both) + _over(of_layer, moved, *both)
        return moved


def _over(weights: Tensor, values: Tensor, ahead: Direction, behind: Direction) -> Tensor:
    """Values ``(n_in, columns)`` over one layer, ``(n_out, columns)``, by weights in the order of ``ahead``."""
    return _Layer.apply(weights, values, ahead, behind)  # type: ignore[no-any-return, no-untyped-call]


def _match(at_targets: Tensor, at_sources: Tensor, ahead: Direction, behind: Direction) -> Tensor:
    """For every edge, the inner product over the columns of what is at its target and what is at its source."""
    return _Match.apply(at_targets, at_sources, ahead, behind)  # type: ignore[no-any-return, no-untyped-call]


def _sums(weights: Tensor, values: Tensor, ahead: Direction, behind: Direction) -> Tensor:
    """:func:`_over` without a second derivative."""
    values = values.contiguous()  # embedding_bag is up to four times slower on a transposed view
    return embedding_bag(ahead.sources, values, ahead.starts, mode="sum", per_sample_weights=weights)


def _products(at_targets: Tensor, at_sources: Tensor, ahead: Direction, behind: Direction) -> Tensor:
    """:func:`_match` without a derivative."""
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(  # type: ignore[no-any-return]
        at_targets.contiguous(), at_sources.contiguous(), ahead.sources, ahead.starts, ahead.targets, 0
    )


class _Layer(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(weights: Tensor, values: Tensor, ahead: Direction, behind: Direction) -> Tensor:
        return _sums(weights, values, ahead, behind)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Direction, Direction], output: Tensor) -> None:
        _keep(ctx, inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (weights, values), (wanted,) = ctx.saved_tensors, gradients
        of_weights, of_values, *_ = ctx.needs_input_grad
        return (
            _match(wanted, values, ctx.ahead, ctx.behind) if of_weights else None,
            _over(weights.index_select(0, ctx.behind.order), wanted, ctx.behind, ctx.ahead) if of_values else None,
            None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        (weights, values), (of_weights, of_values, *_) = ctx.saved_tensors, tangents
        return _over(of_weights, values, ctx.ahead, ctx.behind) + _over(weights, of_values, ctx.ahead, ctx.behind)


class _Match(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(at_targets: Tensor, at_sources: Tensor, ahead: Direction, behind: Direction) -> Tensor:
        return _products(at_targets, at_sources, ahead, behind)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Direction, Direction], output: Tensor) -> None:
        _keep(ctx, inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (at_targets, at_sources), (weights,) = ctx.saved_tensors, gradients
        of_targets, of_sources, *_ = ctx.needs_input_grad
        return (
            _over(weights, at_sources, ctx.ahead, ctx.behind) if of_targets else None,
            _over(weights.index_select(0, ctx.behind.order), at_targets, ctx.behind, ctx.ahead) if of_sources else None,
            None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        (at_targets, at_sources), (of_targets, of_sources, *_) = ctx.saved_tensors, tangents
        one = _match(of_targets, at_sources, ctx.ahead, ctx.behind)
        return one + _match(at_targets, of_sources, ctx.ahead, ctx.behind)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Direction, Direction]) -> None:
    """Keep two tensors and the directions over the edges for the derivatives, forwards and backwards."""
    first, second, ctx.ahead, ctx.behind = inputs
    ctx.save_for_backward(first, second)
    ctx.save_for_forward(first, second)
