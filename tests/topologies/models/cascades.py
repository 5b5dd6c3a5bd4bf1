"""Cascades to test with, and what they compute, multiplied out in numpy."""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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


def product(cascade: SparseCascade) -> NDArray[np.float64]:
    """The masked layers multiplied out: weights fill each mask's trainable entries by target, then source."""
    left = cascade.edge_weight.detach().double().numpy()
    matrix = np.eye(cascade.in_features)
    for mask in cascade.topology.masks():
        by_target = (mask.T == 2).astype(float)
        count = int((mask == 1).sum())
        by_target[mask.T == 1], left = left[:count], left[count:]
        matrix = matrix @ by_target.T
    assert left.size == 0
    return matrix


def saved(module: nn.Module) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    return file
