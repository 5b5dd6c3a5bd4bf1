"""Which weights of dense layers to keep: by their size after training, or by scores at initialisation.

The scores are those of SNIP (Lee et al., 2019), GraSP (Wang et al., 2020) and SynFlow (Tanaka et al., 2020), plainly.
The dense head is not pruned. Scores are arrays of shape ``(n_out * n_in,)``, in order of (target, source).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from evaluators.rng import generator
from tests.benchmarks.trained.jobs import OnDevice, first_weights
from tests.benchmarks.trained.wiring import from_flat
from topologies import dense
from topologies.topology import Topology

EXAMPLES = 2560
"""Examples that the scores of SNIP and GraSP are computed on."""
TEMPERATURE = 200.0
"""What GraSP divides the outputs by."""
ROUNDS = 100
"""Rounds in which SynFlow prunes, each to the same share of what was left."""

Scores = list[NDArray[np.float32]]


def kept(widths: Sequence[int], scores: Scores, budgets: Sequence[int], everywhere: bool) -> tuple[Topology, ...]:
    """The edges of the greatest scores: so many in each place, or as many in all together.

    A place that would be left without an edge keeps its best one.
    """
    sizes = list(pairwise(widths))
    counts = list(budgets)
    if everywhere:
        owner = np.repeat(np.arange(len(scores)), [one.size for one in scores])
        best = np.argsort(-np.concatenate(scores), kind="stable")[: sum(budgets)]
        counts = np.maximum(1, np.bincount(owner[best], minlength=len(scores))).tolist()
    flat = [np.argsort(-one, kind="stable")[:count] for one, count in zip(scores, counts, strict=True)]
    return tuple(from_flat(*size, edges) for size, edges in zip(sizes, flat, strict=True))


def snip(data: OnDevice, widths: Sequence[int], seed: int = 0) -> Scores:
    """How much the loss changes to first order when a weight is left out."""
    weights, head = _dense(data, widths, seed)
    gradients = torch.autograd.grad(_loss(data, weights, head), weights)
    return [_flat((weight * gradient).abs()) for weight, gradient in zip(weights, gradients, strict=True)]


def grasp(data: OnDevice, widths: Sequence[int], seed: int = 0) -> Scores:
    """How much the gradient's norm falls to first order when a weight is left out."""
    weights, head = _dense(data, widths, seed)
    gradients = torch.autograd.grad(_loss(data, weights, head, TEMPERATURE), weights, create_graph=True)
    inner = sum((gradient * gradient.detach()).sum() for gradient in gradients)
    assert isinstance(inner, Tensor)
    curved = torch.autograd.grad(inner, weights)
    return [_flat(weight * one) for weight, one in zip(weights, curved, strict=True)]


def synflow(data: OnDevice, widths: Sequence[int], budgets: Sequence[int], everywhere: bool, seed: int = 0) -> Scores:
    """How much of all paths' weight goes through a weight, pruned in rounds; what went early scores nothing."""
    weights, head = _dense(data, widths, seed)
    absolute = [weight.detach().abs().double() for weight in weights]
    masks = [torch.ones_like(one) for one in absolute]
    scores: list[Tensor] = []
    for number in range(1, ROUNDS + 1):
        left = [(mask * one).requires_grad_() for mask, one in zip(masks, absolute, strict=True)]
        flow = torch.ones(1, widths[0], dtype=torch.float64, device=data.device)
        for one in left:
            flow = flow @ one.T
        total = (flow @ head[0].detach().abs().double().T).sum()
        scores = [one.detach() * gradient for one, gradient in zip(left, torch.autograd.grad(total, left), strict=True)]
        share = [(budget / mask.numel()) ** (number / ROUNDS) for budget, mask in zip(budgets, masks, strict=True)]
        if everywhere:
            entries = sum(mask.numel() for mask in masks)
            count = int(entries * (sum(budgets) / entries) ** (number / ROUNDS))
            bar = torch.cat([one.flatten() for one in scores]).topk(count).values[-1]
            bars = [bar] * len(masks)
        else:
            bars = [
                one.flatten().topk(int(part * one.numel())).values[-1] for one, part in zip(scores, share, strict=True)
            ]
        masks = [(one >= bar).double() * mask for one, bar, mask in zip(scores, bars, masks, strict=True)]
    return [_flat(one) for one in scores]


AT_START: dict[str, Callable[[OnDevice, Sequence[int]], Scores]] = {"SNIP": snip, "GraSP": grasp}
"""Scores that need the data, by name."""


def _dense(data: OnDevice, widths: Sequence[int], seed: int) -> tuple[list[Tensor], tuple[Tensor, Tensor]]:
    """First weights of the dense network, ``(n_out, n_in)`` each, and its head."""
    places = [dense(*size, skip=False) for size in pairwise(widths)]
    drawn, head = first_weights(places, data.data.outputs, generator(seed, "training together"))
    weights = [
        torch.from_numpy(one[0]).view(place.n_out, place.n_in).to(data.device).requires_grad_()
        for one, place in zip(drawn, places, strict=True)
    ]
    return weights, (head.weight.detach().to(data.device), head.bias.detach().to(data.device))


def _loss(data: OnDevice, weights: Sequence[Tensor], head: tuple[Tensor, Tensor], temperature: float = 1.0) -> Tensor:
    x, y = (one[:EXAMPLES] for one in data.train)
    for weight in weights:
        x = functional.relu(functional.linear(x, weight))
    return functional.cross_entropy(functional.linear(x, *head) / temperature, y)


def _flat(scores: Tensor) -> NDArray[np.float32]:
    return scores.detach().flatten().cpu().numpy().astype(np.float32)
