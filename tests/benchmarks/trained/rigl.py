"""RigL (Evci et al., 2020): edges with the least weights are dropped, those with the greatest gradients grown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tests.benchmarks.trained.batched import Batch
from tests.benchmarks.trained.jobs import Trained
from topologies.topology import Layer, Topology

EVERY = 100
"""Steps between two changes of edges."""
FIRST_SHARE = 0.3
"""Share of the edges that the first change replaces; it falls to nothing along half a cosine."""
UNTIL = 0.75
"""Share of the steps after which edges stay."""


class Regrowth:
    """Moves the edges of every network of a batch, place by place, so that each keeps its number of edges."""

    def __init__(self, batch: Batch) -> None:
        self._edges = [topology.n_trainable for topology in batch.jobs[0].places]
        self._starts = np.cumsum([0, *batch.sizes]).tolist()

    def __call__(self, batch: Batch, done: int) -> None:
        """Change edges if it is time to, ``done`` steps after the start."""
        last = UNTIL * batch.steps
        if done % EVERY or done >= last:
            return
        share = FIRST_SHARE * (1 + math.cos(math.pi * done / last)) / 2
        assert batch.gradient is not None
        for place, edges in enumerate(self._edges):
            at = slice(self._starts[place], self._starts[place + 1])
            count, there = int(share * edges), batch.real[:, at]
            weights = torch.where(there > 0, batch.theta.data[:, at].abs(), torch.inf)
            dropped = weights.topk(count, dim=1, largest=False).indices
            gradients = torch.where(there > 0, -1.0, batch.gradient[:, at].abs())
            grown = gradients.topk(count, dim=1).indices
            there.scatter_(1, dropped, 0.0).scatter_(1, grown, 1.0)
            changed = torch.zeros_like(batch.theta, dtype=torch.bool)
            changed[:, at] = True
            changed[:, at] &= (there == 0).scatter(1, grown, True)
            batch.forget(changed)


def masks_of(trained: Trained, weights: Sequence[NDArray[np.float32]] | None = None) -> tuple[Topology, ...]:
    """The edges that RigL ends with: where its weights are not zero."""
    found = []
    for topology, values in zip(trained.job.places, weights or trained.weights, strict=True):
        flat = np.flatnonzero(values)
        edges = (flat % topology.n_in, flat // topology.n_in, np.ones(flat.size, np.bool_))
        found.append(Topology((Layer(topology.n_in, topology.n_out, *edges),)))
    return tuple(found)
