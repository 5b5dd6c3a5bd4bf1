"""Random target matrices, numbered, in three splits (paper, section V; see :class:`evaluators.task.Split`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluators.rng import generator
from evaluators.task import Split


def target(n_in: int, n_out: int, index: int, split: Split, seed: int) -> NDArray[np.float32]:
    """Target number ``index`` of a split: shape ``(n_in, n_out)``, independent N(0, 1) entries.

    All topologies of one size meet the same targets (common random numbers): their errors can be compared in pairs.
    """
    draws = generator(seed, "target", split.key, n_in, n_out, index).standard_normal((n_in, n_out))
    return draws.astype(np.float32)
