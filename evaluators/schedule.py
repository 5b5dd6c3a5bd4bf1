"""How weights move during matrix reconstruction: Adam under a one-cycle learning rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's constants, the usual ones."""

WARM_UP = 0.3
"""Share of the steps in which the rate rises to its peak."""


def one_cycle(steps: int) -> NDArray[np.float32]:
    """Learning rates relative to the peak, shape ``(steps,)``: a straight rise, then half a cosine down to zero."""
    position = (np.arange(steps) + 0.5) / steps
    falling = 0.5 * (1 + np.cos(np.pi * (position - WARM_UP) / (1 - WARM_UP)))
    return np.where(position < WARM_UP, position / WARM_UP, falling).astype(np.float32)
