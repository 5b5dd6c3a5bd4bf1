"""From a change that need not be careful to an operator that keeps every promise.

A proposal gets a working copy of a parent's masks, changes it as it likes and returns it, or None where it has
nothing to offer. The operator made of it repairs the result, and returns a topology that is connected (where the
bounds ask for it), within bounds, exactly on budget and not the parent, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from evo.variation.bounds import Bounds
from evo.variation.edges import Masks
from evo.variation.repair import repair
from topologies.topology import Topology

Operator = Callable[[Topology, Bounds, np.random.Generator], Topology | None]
Proposal = Callable[[Masks, Bounds, np.random.Generator], Masks | None]


def operator(propose: Proposal) -> Operator:
    """The operator of a proposal: a pure function of (topology, bounds, generator)."""

    @wraps(propose)
    def mutate(topology: Topology, bounds: Bounds, generator: np.random.Generator) -> Topology | None:
        masks = propose(topology.masks(), bounds, generator)
        child = None if masks is None else repair(masks, bounds, generator)
        return None if child is None or child.digest == topology.digest else child

    return mutate
