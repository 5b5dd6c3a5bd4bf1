"""The error of every training on every test example, as text that fits into a score and a journal.

Two topologies are tested on the same examples, so their difference is uncertain because of these as well as because of
the seeds of training (:mod:`evo.storage.estimates`); for that the errors are kept one by one.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES: dict[str, np.dtype[Any]] = {"u1": np.dtype(np.uint8), "f2": np.dtype("<f2")}
"""Right or wrong is a byte; shares of a variance are numbers of three digits, of which only the variance is needed."""


def pack(errors: NDArray[np.floating]) -> str:
    """Errors of shape ``(trainings, examples)`` as text; other numbers than 0 and 1 keep three digits."""
    name = "u1" if ((errors == 0) | (errors == 1)).all() else "f2"
    raw = np.clip(errors, 0, float(np.finfo(np.float16).max)).astype(_TYPES[name]).tobytes()
    rows, columns = errors.shape
    return f"{name} {rows} {columns} {base64.b64encode(zlib.compress(raw)).decode()}"


def unpack(text: str) -> NDArray[np.float64]:
    """The errors, float64 of shape ``(trainings, examples)``, that :func:`pack` was given."""
    name, rows, columns, packed = text.split(" ")
    raw: NDArray[Any] = np.frombuffer(zlib.decompress(base64.b64decode(packed)), _TYPES[name])
    return raw.reshape(int(rows), int(columns)).astype(np.float64)
