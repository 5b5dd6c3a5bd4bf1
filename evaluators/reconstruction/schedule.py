"""How weights move during matrix reconstruction: Adam under a one-cycle learning rate.

Both were chosen by measurement over butterflies, parallel butterflies, Clos and random regular topologies of 32 x 32
and 640 parameters. Against Adam's usual betas (0.9, 0.999) and a warm-up of 10 %, a short memory for the squared
gradient lets much larger rates converge, and the same 2000 steps end 8 to 17 % lower. The short warm-up keeps
the first steps from blowing up the weights of deep cascades.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WARM_UP = 0.02
"""Share of the steps in which the rate rises to its peak."""
BETA_1, BETA_2, EPSILON = 0.95, 0.9, 1e-8
"""Adam's constants: memory of the gradient, of its square, and what is added to the root of the latter."""


class Schedule(NamedTuple):
    """``rates``: learning rate of each step relative to the peak, shape ``(steps,)``; and Adam's two memories."""

    rates: NDArray[np.float32]
    beta_1: float
    beta_2: float


def one_cycle(steps: int, warm_up: float = WARM_UP, beta_1: float = BETA_1, beta_2: float = BETA_2) -> Schedule:
    """A straight rise to the peak over a share of the steps, then half a cosine down to zero."""
    position = (np.arange(steps) + 0.5) / steps
    falling = 0.5 * (1 + np.cos(np.pi * (position - warm_up) / (1 - warm_up)))
    rates = np.where(position < warm_up, position / warm_up, falling).astype(np.float32)
    return Schedule(rates, beta_1, beta_2)
