"""Masks in a file of NumPy or SciPy: the form in which other programs make and take topologies."""

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

from topologies.entries import ABSENT, entries
from topologies.files import opened, write_whole
from topologies.layer import Layer
from topologies.stack import AnyTopology, Stack
from topologies.topology import Topology

MAX_MASKS = 1 << 28
"""Bytes of all dense masks of an ``.npz`` file together, uncompressed."""

_ARRAY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(\|b1|\|S[1-9]|[<>|][iuf][1248])', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,9},? ?){0,2})\), \} *\n",
    re.DOTALL,
)
"""What numpy writes before an array; numpy itself reads it by Python's parser, which a bad file can exhaust."""

_SPARSE = {"coo": ("row", "col"), "csr": ("indptr", "indices"), "csc": ("indptr", "indices")}
"""The formats of ``scipy.sparse.save_npz`` that are read, and the arrays that say where their entries are."""


_OF_STACK = re.compile(r"places\.([0-9]{1,6})\.layers\.([0-9]{1,6})\.npy")
"""What the masks of a stack are called, by place and layer."""


def save_masks(topology: AnyTopology, path: str | Path) -> Path:
    """Write dense masks to ``path`` (``.npz``), whole or not at all, and return the path.

    The arrays ``arr_0``, ``arr_1``, ... are int8 of shape ``(n_in, n_out)``, one a layer: 0 absent, 1 trainable,
    2 constant. ``numpy.savez(path, *masks)`` writes the same thing. Those of a stack are called ``places.0.layers.0``,
    ``places.0.layers.1``, ...

    Raises
    ------
    ValueError
        When the masks have more than :data:`MAX_MASKS` entries.
    FileNotFoundError
        When the folder does not exist.
    """
    _check_masks_size(sum(layer.n_in * layer.n_out for place in topology.places for layer in place.layers))
    buffer = io.BytesIO()
    if isinstance(topology, Stack):
        named: dict[str, Any] = {
            f"places.{number}.layers.{layer}": mask
            for number, place in enumerate(topology.places)
            for layer, mask in enumerate(place.masks())
        }
        np.savez_compressed(buffer, **named)
    else:
        np.savez_compressed(buffer, *topology.masks())
    return write_whole(Path(path), buffer.getvalue())


def load_masks(path: str | Path, *, transpose: bool = False) -> AnyTopology:
    """The topology or stack of masks in a file: what :func:`save_masks` wrote, or NumPy, or SciPy.

    Read are ``.npz`` files of ``numpy.savez``, a mask a layer: arrays ``arr_0``, ``arr_1``, ... by number, others in
    the order of the file; and masks of one layer, ``numpy.save`` (``.npy``) and ``scipy.sparse.save_npz`` (csr, csc,
    coo). Numbers of any type whose values are 0, 1 and 2; at most :data:`MAX_MASKS` bytes are unpacked, and never more
    than the file declares.

    Parameters
    ----------
    path:
        The file.
    transpose:
        For masks that are ``(n_out, n_in)``, as PyTorch has them, not ``(n_in, n_out)``.

    Raises
    ------
    ValueError
        For any other file, other entries, layers that do not fit, or a declared size above the limit.
    FileNotFoundError
        When there is no such file.
    """
    unreadable = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
    with opened(Path(path), "a file of masks") as (file, size):
        if file.read(1) == b"\x93":  # numpy.save
            _check_masks_size(size)
            file.seek(0)
            return Topology.from_masks([_matrix(_array(file.read(size), "the file"), "the file")], transpose=transpose)
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive:
                _check_masks_size(sum(member.file_size for member in archive.infolist()))
                arrays = {member.filename: _unpack(archive, member) for member in archive.infolist()}
        except unreadable as problem:
            raise ValueError(f"not a whole .npz file ({problem})") from problem
        if "format.npy" in arrays:
            return Topology((_sparse_layer(arrays, transpose),))
        if arrays and all(map(_OF_STACK.fullmatch, arrays)):
            return _stack(arrays, transpose)
        numbered = [f"arr_{layer}.npy" for layer in range(len(arrays))]
        names = numbered if sorted(numbered) == sorted(arrays) else list(arrays)
        return Topology.from_masks([_matrix(arrays[name], name) for name in names], transpose=transpose)


def _stack(arrays: dict[str, NDArray[Any]], transpose: bool) -> Stack:
    """The stack whose masks :func:`save_masks` wrote; ValueError where a place or layer is missing."""
    places: dict[int, dict[int, NDArray[Any]]] = {}
    for name, array in arrays.items():
        place, layer = map(int, _OF_STACK.fullmatch(name).groups())  # type: ignore[union-attr]
        places.setdefault(place, {})[layer] = _matrix(array, name)
    if any(sorted(numbers) != list(range(len(numbers))) for numbers in ([*places], *map(list, places.values()))):
        raise ValueError("masks of a stack are numbered from 0, places and layers: one of them is missing")
    return Stack(
        tuple(
            Topology.from_masks([places[place][layer] for layer in sorted(places[place])], transpose=transpose)
            for place in sorted(places)
        )
    )


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
    return _array(raw, member.filename)


def _array(raw: bytes, name: str) -> NDArray[Any]:
    """The array that numpy wrote as these bytes."""
    if not (header := _ARRAY_HEADER.match(raw)):
        raise ValueError(f"{name} is no matrix of numbers that numpy wrote (pickles are never loaded)")
    dtype, by_columns = np.dtype(header[1].decode()), header[2] == b"True"
    shape = tuple(int(length) for length in re.findall(rb"[0-9]+", header[3]))
    if math.prod(shape) * dtype.itemsize != len(raw) - header.end():
        raise ValueError(f"{name} declares shape {shape}, which is not what it holds")
    return np.frombuffer(raw, dtype, offset=header.end()).reshape(shape, order="F" if by_columns else "C")


def _matrix(array: NDArray[Any], name: str) -> NDArray[Any]:
    """An array that can be a mask."""
    if array.ndim != 2 or array.dtype.kind == "S":
        raise ValueError(f"{name} is no matrix of numbers but {array.dtype} of shape {array.shape}")
    return array


def _sparse_layer(arrays: dict[str, NDArray[Any]], transpose: bool) -> Layer:
    """The layer of a sparse matrix that scipy wrote; nothing but its bytes is believed."""
    kind = arrays["format.npy"].tobytes().decode(errors="replace")
    wanted = ("shape", "data", *_SPARSE.get(kind, ()))
    if kind not in _SPARSE or any(f"{name}.npy" not in arrays for name in wanted):
        raise ValueError(f"a scipy sparse matrix of format {kind!r} is not read: save it as {', '.join(_SPARSE)}")
    shape, data, first, second = (arrays[f"{name}.npy"].ravel() for name in wanted)
    if any(array.dtype.kind not in "iu" for array in (shape, first, second)) or shape.size != 2:
        raise ValueError("the places of a scipy sparse matrix are whole numbers, and its shape is two")
    n_rows, n_columns = shape.tolist()
    if kind != "coo":
        starts = first.astype(np.int64)
        lengths = starts[1:] - starts[:-1]
        if (
            lengths.size != (n_rows if kind == "csr" else n_columns)
            or (lengths < 0).any()
            or lengths.sum() != data.size
        ):
            raise ValueError(f"indptr of a scipy sparse matrix does not divide its {data.size} entries")
        first = np.repeat(np.arange(lengths.size), lengths)
    rows, columns = (second, first) if kind == "csc" else (first, second)
    if not rows.size == columns.size == data.size:
        raise ValueError(
            f"a scipy sparse matrix of {data.size} entries has {rows.size} rows and {columns.size} columns"
        )
    trainable = entries(data[None])[3]
    there = data != ABSENT
    ends = ((n_rows, rows[there]), (n_columns, columns[there]))
    (n_in, sources), (n_out, targets) = reversed(ends) if transpose else ends
    return Layer(n_in, n_out, sources, targets, trainable)
