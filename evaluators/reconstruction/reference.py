"""Matrix reconstruction in plain PyTorch: what the compiled kernel must equal, and nothing to make it fast."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from evaluators.reconstruction.schedule import EPSILON, Schedule
from topologies.topology import Topology


def train(
    topology: Topology,
    weights: NDArray[np.floating],
    targets: NDArray[np.floating],
    rates: NDArray[np.float64],
    schedule: Schedule,
) -> tuple[NDArray[np.float64], NDArray[np.floating]]:
    """Train independent problems one after the other.

    Arguments and results are those of :func:`evaluators.reconstruction.cpu.train`. The arithmetic is done in the
    precision of ``weights``.
    """
    runs = [
        _train_one(topology, start, target, float(rate), schedule)
        for start, target, rate in zip(weights, targets, rates, strict=True)
    ]
    return np.array([loss for loss, _ in runs]), np.array([kept for _, kept in runs]).reshape(weights.shape)


def product(topology: Topology, weights: torch.Tensor) -> torch.Tensor:
    """The matrix of the whole cascade, ``S_1 ⊙ M_1 ⋯ S_L ⊙ M_L`` (Eq. 4), shape ``(..., n_in, n_out)``.

    ``weights`` has shape ``(..., n_trainable)``: trainable weights in the order of layers and their edges.
    """
    parts = torch.split(weights, [layer.n_trainable for layer in topology.layers], dim=-1)
    result = torch.eye(topology.n_in, dtype=weights.dtype)
    for layer, part in zip(topology.layers, parts, strict=True):
        matrix = torch.tensor(layer.mask() == 2).to(weights.dtype).repeat(*weights.shape[:-1], 1, 1)
        sources, targets = layer.sources[layer.trainable], layer.targets[layer.trainable]
        matrix[..., torch.tensor(sources, dtype=torch.long), torch.tensor(targets, dtype=torch.long)] = part
        result = result @ matrix
    return result


def _train_one(
    topology: Topology,
    start: NDArray[np.floating],
    target: NDArray[np.floating],
    rate: float,
    schedule: Schedule,
) -> tuple[float, NDArray[np.floating]]:
    weights = torch.tensor(start, requires_grad=True)
    goal = torch.tensor(target, dtype=weights.dtype)
    adam = torch.optim.Adam([weights], lr=rate, betas=(schedule.beta_1, schedule.beta_2), eps=EPSILON)
    lowest, kept = float("inf"), start
    for relative in schedule.rates:
        adam.param_groups[0]["lr"] = rate * float(relative)
        adam.zero_grad()
        error = (product(topology, weights) - goal).square().sum()
        if error.item() < lowest:
            lowest, kept = error.item(), weights.detach().numpy().copy()
        (error / 2).backward()  # type: ignore[no-untyped-call]
        adam.step()
    return lowest, kept
