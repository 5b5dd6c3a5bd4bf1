"""Randomness by name: every random number is drawn from a generator made for one purpose.

A key is built from the seed and from words and numbers that say what for; nothing is shared and nothing depends
on the order in which generators are made. SHA-256 makes it the same in every process and on every machine.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np


def generator(seed: int, *what: str | int) -> np.random.Generator:
    """The generator for one purpose, e.g. ``generator(seed, "targets", "search", 3)``."""
    name = json.dumps([seed, *what]).encode()
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(name).digest()[:16], "little")))
