"""The L0 count: how many entries of a target training with L1 loss makes exactly right (paper, section V-A).

What bounds it without data is constraint matching (``evaluators/proxies/matching.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from evaluators.reconstruction.evaluator import start_of
from evaluators.reconstruction.reference import product
from evaluators.reconstruction.targets import target
from evaluators.task import Split
from topologies.topology import Topology

EPSILON = 1e-3
"""How near an entry must come to its goal, which is of size 1, to count."""
RATE = 0.1
"""Peak learning rate of the L1 training, unless asked otherwise."""


@dataclass(frozen=True)
class L0Count:
    """``count``, shape ``(targets,)``: the entries of each target that L1 training made right."""

    count: NDArray[np.int64]
    n_out: int

    @property
    def ratios(self) -> NDArray[np.int64]:
        """Entries beyond one an output, which with a diagonal layer at the end is the output's magnitude."""
        return self.count - self.n_out


def l0_count(
    topology: Topology,
    targets: int = 8,
    steps: int = 2000,
    *,
    rate: float = RATE,
    epsilon: float = EPSILON,
    seed: int = 0,
) -> L0Count:
    """Train with L1 loss and count the entries that come within ``epsilon`` of their goals (section V-A).

    Build the topology with ``diagonal=True`` for the count of ratios (Appendix A). Targets and starts are those of the
    search targets. Adam's rate falls to zero, so that entries settle where the loss has its corners. No more entries
    are right than there are parameters, but for those that are right by chance, some ``epsilon`` of all. A few seconds.
    """
    goals = torch.tensor(
        np.stack([target(topology.n_in, topology.n_out, index, Split.SEARCH, seed) for index in range(targets)])
    )
    weights = torch.tensor(np.stack([start_of(topology, index, Split.SEARCH, seed) for index in range(targets)]))
    weights.requires_grad_()
    adam = torch.optim.Adam([weights], lr=rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(steps, 1))
    for _ in range(steps if topology.n_trainable else 0):
        adam.zero_grad()
        (product(topology, weights) - goals).abs().sum().backward()  # type: ignore[no-untyped-call]
        adam.step()
        falling.step()
    with torch.no_grad():
        right = (product(topology, weights) - goals).abs() < epsilon
    return L0Count(right.sum(dim=(1, 2)).numpy(), topology.n_out)
