"""Topologies side by side as one, as controllability trains them: torch arrays, on any device.

Neurons stand layer by layer, those of the deepest topologies first, so that topologies that have come to their outputs
drop off the end. What is computed of one depends on no other; on a CPU that holds to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from evaluators.controllability.model import Stage


class Ends:
    """One end of all edges: for each the number of its neuron, of ``count``.

    Sums are made in the order of the edges, and so are gradients. ``index_add`` and the gradient of ``x[index]`` would
    add atomically on a GPU, in any order.
    """

    def __init__(self, neurons: NDArray[np.int64], count: int, device: str) -> None:
        order = np.argsort(neurons, kind="stable")
        starts = np.searchsorted(neurons[order], np.arange(count))
        self.neurons, self._order, self._starts = (
            torch.tensor(values, dtype=torch.long, device=device) for values in (neurons, order, starts)
        )

    def sums(self, of_edges: Tensor) -> Tensor:
        """The sum over every neuron's edges: ``(edges, ...)`` to ``(count, ...)``."""
        return _Sums.apply(of_edges, self)  # type: ignore[no-any-return, no-untyped-call]

    def each(self, of_neurons: Tensor) -> Tensor:
        """What every edge finds at its neuron: ``(count, ...)`` to ``(edges, ...)``."""
        return _Each.apply(of_neurons, self)  # type: ignore[no-any-return, no-untyped-call]

    def _sums(self, of_edges: Tensor) -> Tensor:
        rows = embedding_bag(self._order, of_edges.flatten(1), self._starts, mode="sum")
        return rows.reshape(-1, *of_edges.shape[1:])

    def _each(self, of_neurons: Tensor) -> Tensor:
        return of_neurons.index_select(0, self.neurons)


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, of_edges: Tensor, ends: Ends) -> Tensor:
        ctx.ends = ends
        return ends._sums(of_edges)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.ends._each(gradients[0]), None


class _Each(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, of_neurons: Tensor, ends: Ends) -> Tensor:
        ctx.ends = ends
        return ends._each(of_neurons)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.ends._sums(gradients[0]), None


class Sizes(NamedTuple):
    """What one layer has of each topology that reaches it: lists of equal length."""

    n_in: list[int]
    n_out: list[int]
    edges: list[int]


class BatchLayer(NamedTuple):
    """One layer of all topologies that have it.

    ``pairs``, ``(neurons, ...)``, is 1 where control can be added and ``even`` the sum of that over each neuron;
    ``fan_out``, ``even`` and ``room`` are at least 1. For the rest see :class:`Stage`.
    """

    sizes: Sizes
    sources: Ends
    targets: Ends
    fan_out: Tensor
    added: Tensor
    pairs: Tensor
    even: Tensor
    room: Tensor

    @staticmethod
    def of(together: Sequence[Stage], by_pair: bool, device: str) -> BatchLayer:
        """The layer of stages side by side."""
        sizes = Sizes(*map(list, zip(*((one.n_in, one.n_out, one.sources.size) for one in together), strict=True)))
        before, after = accumulate(sizes.n_in, initial=0), accumulate(sizes.n_out, initial=0)
        sources = np.concatenate([start + one.sources for start, one in zip(before, together, strict=False)])
        targets = np.concatenate([start + one.targets for start, one in zip(after, together, strict=False)])
        pairs = np.concatenate([one.pairs(by_pair) for one in together])
        floats = (
            np.bincount(sources, minlength=sum(sizes.n_in)).clip(1),
            np.concatenate([one.added for one in together]),
            pairs,
            pairs.reshape(len(pairs), -1).sum(axis=1).clip(1),
            np.concatenate([one.room for one in together]).clip(1),
        )
        return BatchLayer(
            sizes,
            Ends(sources, sum(sizes.n_in), device),
            Ends(targets, sum(sizes.n_out), device),
            *(torch.tensor(values, dtype=torch.float32, device=device) for values in floats),
        )

    def double(self) -> BatchLayer:
        """The same in double precision; all numbers are whole."""
        return self._replace(
            fan_out=self.fan_out.double(),
            added=self.added.double(),
            pairs=self.pairs.double(),
            even=self.even.double(),
            room=self.room.double(),
        )


def owners(counts: Sequence[int], device: str) -> Ends:
    """Which topology each row belongs to, where topologies have ``counts`` rows each."""
    return Ends(np.repeat(np.arange(len(counts)), counts), len(counts), device)
