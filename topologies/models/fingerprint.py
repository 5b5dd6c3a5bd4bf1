"""What a checkpoint of a cascade says of its topology: 256 signs, which averages, sums and casts of tensors keep."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from topologies.packing import pack
from topologies.topology import Topology


def fingerprint(topology: Topology) -> Tensor:
    """1 or -1 for every bit of a hash of the edges under this numbering, which the order of the weights depends on.

    Float32 on the CPU, also where another device is the default.
    """
    bits = np.unpackbits(np.frombuffer(hashlib.sha256(pack(topology)).digest(), dtype=np.uint8))
    return torch.from_numpy(np.where(bits, 1, -1).astype(np.float32))


def check_fingerprint(topology: Topology, saved: Tensor) -> None:
    """Raise ValueError where a saved fingerprint is another topology's.

    Only signs count. Release 0.1 saved the hash as 32 whole numbers, which must be exact.
    """
    expected, found = fingerprint(topology).numpy(), saved.detach().cpu().double().numpy()
    if not (np.array_equal(np.sign(found), expected) or np.array_equal(found, np.packbits(expected > 0))):
        raise ValueError(
            f"these weights were saved from another topology than this {topology!r}: "
            "build the SparseCascade from the topology they were trained with"
        )
