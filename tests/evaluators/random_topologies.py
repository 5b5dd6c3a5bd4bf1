"""Small random cascades for property tests: any widths, kinds and holes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from topologies import Topology


@st.composite
def topologies(draw: st.DrawFn, most_neurons: int = 5, most_layers: int = 4, skips: bool | None = None) -> Topology:
    """Sparse to dense, with at most one constant edge a neuron, or with many; some neurons have no edges at all.

    ``skips=False`` makes every edge trainable.
    """
    widths = draw(st.lists(st.integers(1, most_neurons), min_size=2, max_size=most_layers + 1))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.3, 0.5, 0.7, 0.9, 1.0]))
    style = "none" if skips is False else draw(st.sampled_from(["none", "one", "one", "many"]))
    masks = []
    for before, after in pairwise(widths):
        mask = (generator.random((before, after)) < density).astype(int)
        if style == "many":
            mask[generator.random(mask.shape) < 0.3] *= 2
        for neuron in range(after) if style == "one" else ():
            sources = np.flatnonzero(mask[:, neuron])
            if sources.size > 1:
                mask[generator.choice(sources), neuron] = 2
        masks.append(mask)
    return Topology.from_masks(masks)
