"""Where the edges of a wiring go, and which weights they have, as compiled kernels ask."""

from __future__ import annotations

import numpy as np

from topologies.kernel.compiled import compiled
from topologies.kernel.simd import at


@compiled
def has_names(edges, stage):  # type: ignore[no-untyped-def]
    """Whether the neurons of a stage are outputs that a part among several reaches, and have names."""
    return edges.parts > 1 and stage % edges.depth == edges.depth - 1


@compiled
def which(edges, edge):  # type: ignore[no-untyped-def]
    """Which of the cascade's trainable weights an edge has."""
    return np.int64(at(edges.order, edge)) if edges.order.size else np.int64(edge)
