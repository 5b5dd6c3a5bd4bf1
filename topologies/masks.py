"""Dense masks in an ``.npz`` file: the form in which other programs make and take topologies."""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topologies.files import opened, write_whole
from topologies.topology import Topology

MAX_MASKS = 1 << 28
"""Bytes of all dense masks of an ``.npz`` file together, uncompressed."""

_ARRAY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(\|b1|[<>|][iu][1248])', 'fortran_order': (True|False), "
    rb"'shape': \(([0-9]{1,9}), ([0-9]{1,9})\), \} *\n",
    re.DOTALL,
)
"""What numpy writes before a matrix; numpy itself reads it by Python's parser, which a bad file can exhaust."""


def save_masks(topology: Topology, path: str | Path) -> Path:
    """Write dense masks to ``path`` (``.npz``), whole or not at all, and return the path.

    The arrays ``arr_0``, ``arr_1``, ... are int8 of shape ``(n_in, n_out)``, one a layer: 0 absent, 1 trainable,
    2 constant. ``numpy.savez(path, *masks)`` writes the same thing.

    Raises
    ------
    ValueError
        When the masks have more than :data:`MAX_MASKS` entries.
    FileNotFoundError
        When the folder does not exist.
    """
    _check_masks_size(sum(layer.n_in * layer.n_out for layer in topology.layers))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, *topology.masks())
    return write_whole(Path(path), buffer.getvalue())


def load_masks(path: str | Path) -> Topology:
    """The topology of dense masks in an ``.npz`` file: :func:`save_masks`, or ``numpy.savez(path, *masks)``.

    Integers or booleans; at most :data:`MAX_MASKS` bytes are unpacked, and never more than the file declares.

    Raises
    ------
    ValueError
        For any other file, entries other than 0, 1 and 2, layers that do not fit, or a declared size above the limit.
    FileNotFoundError
        When there is no such file.
    """
    unreadable = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
    with opened(Path(path), "a file of masks") as (file, _):
        try:
            with zipfile.ZipFile(file) as archive:
                _check_masks_size(sum(member.file_size for member in archive.infolist()))
                names = [f"arr_{layer}.npy" for layer in range(len(archive.namelist()))]
                if sorted(names) != sorted(archive.namelist()):
                    raise ValueError("its arrays are not named arr_0, arr_1, ..., one a layer")
                return Topology.from_masks(_unpack(archive, archive.getinfo(name)) for name in names)
        except unreadable as problem:
            raise ValueError(f"not a whole .npz file ({problem})") from problem


def _check_masks_size(n_bytes: int) -> None:
    if n_bytes > MAX_MASKS:
        raise ValueError(
            f"dense masks of {n_bytes} bytes: at most {MAX_MASKS}; use a .safetensors file, it lists edges"
        )


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One array of an ``.npz``. No shape is believed before its bytes are there; objects (pickles) are refused."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename} is compressed in a way numpy does not use")
    with archive.open(member) as file:
        raw = file.read(member.file_size)  # archive.read() would unpack first and cut to the declared size after
    if not (header := _ARRAY_HEADER.match(raw)):
        raise ValueError(f"{member.filename} is no matrix of integers or booleans (pickles are never loaded)")
    dtype, by_columns, shape = np.dtype(header[1].decode()), header[2] == b"True", (int(header[3]), int(header[4]))
    if math.prod(shape) * dtype.itemsize != len(raw) - header.end():
        raise ValueError(f"{member.filename} declares shape {shape}, which is not what it holds")
    return np.frombuffer(raw, dtype, offset=header.end()).reshape(shape, order="F" if by_columns else "C")
