"""Random target matrices, numbered, in three streams (paper, section V; see :class:`evaluators.task.Stream`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluators.rng import generator
from evaluators.task import Stream


def target(n_in: int, n_out: int, index: int, stream: Stream, seed: int) -> NDArray[np.float32]:
    """Target number ``index`` of a stream: shape ``(n_in, n_out)``, independent N(0, 1) entries.

    All topologies of one size meet the same targets (common random numbers): their errors can be compared in pairs.
    """
    draws = generator(seed, "target", stream.value, n_in, n_out, index).standard_normal((n_in, n_out))
    return draws.astype(np.float32)
