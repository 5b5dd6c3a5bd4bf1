"""Where the edges of a wiring go, and which weights they have, as compiled kernels ask."""

from __future__ import annotations

import numpy as np

from topologies.kernel.compiled import compiled
from topologies.kernel.simd import at
from topologies.kernel.wiring import NEURON


@compiled
def place(edges, stage, neuron):  # type: ignore[no-untyped-def]
    """The place of a neuron among those of its layer: outputs that a part among several reaches have names."""
    if edges.parts > 1 and stage % edges.depth == edges.depth - 1:
        return np.int64(at(edges.names, neuron))
    return np.int64(neuron - edges.stages[stage, NEURON])


@compiled
def which(edges, edge):  # type: ignore[no-untyped-def]
    """Which of the cascade's trainable weights an edge has."""
    return np.int64(at(edges.order, edge)) if edges.order.size else np.int64(edge)
