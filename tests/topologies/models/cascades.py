"""Cascades to test with, and what they compute, multiplied out from dense masks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from topologies.models.cascade import SparseCascade
from topologies.topology import Topology

FEW, MANY = 2, 300
"""Rows that go layer by layer, and rows for which the small topologies here are folded first."""


def random_topology(seed: int, n_in: int | None = None, n_out: int | None = None) -> Topology:
    """Any widths and kinds: neurons without edges, layers of constants only and layers without edges included."""
    generator = np.random.default_rng(seed)
    widths = generator.integers(1, 8, size=generator.integers(2, 6))
    widths[0], widths[-1] = n_in or widths[0], n_out or widths[-1]
    shares = [generator.dirichlet((1, 1, 1)) for _ in widths[1:]]
    return Topology.from_masks(
        [generator.choice(3, size=(a, b), p=p) for a, b, p in zip(widths, widths[1:], shares, strict=False)]
    )


def small() -> Topology:
    """Fan-in 3 with one constant, widths 12-12-12-12: connected, and folded for many rows."""
    mask = sum(np.roll(np.eye(12, dtype=int), shift, axis=1) for shift in (1, 4)) + 2 * np.eye(12, dtype=int)
    return Topology.from_masks([mask] * 3)


def matrix(topology: Topology, edge_weight: Tensor) -> Tensor:
    """The masked layers multiplied out, ``(n_in, n_out)``: weights fill each mask's edges by target, then source."""
    product, start = torch.eye(topology.n_in, dtype=edge_weight.dtype, device=edge_weight.device), 0
    for mask in topology.masks():
        by_target = torch.from_numpy(mask.T)
        places = (by_target.flatten() == 1).nonzero().flatten().to(edge_weight.device)
        constants = (by_target == 2).to(edge_weight).flatten()
        weights = constants.index_copy(0, places, edge_weight[start : start + places.numel()])
        product, start = product @ weights.view(by_target.shape).T, start + places.numel()
    assert start == edge_weight.numel()
    return product


def product(cascade: SparseCascade) -> NDArray[np.float64]:
    """The matrix that a cascade's own weights make."""
    return matrix(cascade.topology, cascade.edge_weight.detach().double()).numpy()
