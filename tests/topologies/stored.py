"""What tests of files store: topologies of any kind, and files with a bit flipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import settings

from topologies.topology import Topology

fast = settings(max_examples=30, deadline=None)
TINY = Topology.from_masks([[[1, 2, 0], [0, 1, 1]], [[2, 1], [1, 0], [0, 2]]])


def random_topology(seed: int) -> Topology:
    """Any widths and kinds, neurons without edges and layers without edges included."""
    generator = np.random.default_rng(seed)
    widths = generator.integers(1, 9, size=generator.integers(2, 6))
    shares = [generator.dirichlet((1, 1, 1)) for _ in widths[1:]]
    return Topology.from_masks(
        [generator.choice(3, size=(a, b), p=p) for (a, b), p in zip(pairwise(widths), shares, strict=True)]
    )


def flipped(path: Path, data: bytes) -> Iterator[Path]:
    """The file at ``path`` with each bit of ``data`` flipped in turn, and whole again in the end."""
    path.write_bytes(data)
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(data):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), place)
                yield path
            os.pwrite(file.fileno(), bytes([byte]), place)
