"""Arrays from a file of data, or those of the digits that come with scikit-learn. No pickle is ever loaded."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

DIGITS = "digits"
KEYS = ("x_train", "y_train", "x_test", "y_test")
_HOW = 'numpy.savez("mine.npz", x_train=..., y_train=...) writes one'


def arrays_of(name: str) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file by their keys, those of :data:`KEYS` that there are; or of :data:`DIGITS`.

    Raises
    ------
    ValueError
        In one line: no such file, another format, missing keys, Python objects, or more than fits into memory.
    """
    if name == DIGITS:
        from sklearn.datasets import load_digits

        found = load_digits()
        return {"x_train": found.images, "y_train": found.target}
    path = Path(name)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise ValueError(f'data = "{name}": {what}; data are read from .npz files, or "{DIGITS}" from scikit-learn')
    if path.suffix != ".npz":
        raise ValueError(f'data = "{name}": only .npz files are read, not {path.suffix or "this"}: {_HOW}')
    try:
        with zipfile.ZipFile(path) as archive:
            headers = {member[: -len(".npy")]: _header(archive, member) for member in _members(archive)}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(f'data = "{name}" cannot be read as .npz: {error}') from None
    _check(name, headers)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in KEYS if key in file.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise ValueError(f'data = "{name}" is damaged: {error}') from None


def memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _members(archive: zipfile.ZipFile) -> list[str]:
    return [name for name in archive.namelist() if name.endswith(".npy")]


def _header(archive: zipfile.ZipFile, member: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and type of an array, without reading it."""
    with archive.open(member) as file:
        return _shape_and_type(file)


def _shape_and_type(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _check(name: str, headers: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
    missing = [key for key in KEYS[:2] if key not in headers]
    if missing:
        there = ", ".join(headers) or "nothing"
        raise ValueError(f'data = "{name}" has no {" and no ".join(missing)}: it holds {there}; {_HOW}')
    needed = 0
    for key in KEYS:
        if key in headers:
            shape, dtype = headers[key]
            if dtype.hasobject:
                raise ValueError(
                    f'data = "{name}": {key} holds Python objects, which are never loaded: save it as an array of '
                    "numbers or of strings"
                )
            # As read, its parts once more, and these as float32.
            needed += int(np.prod(shape, dtype=np.int64)) * (2 * dtype.itemsize + 4 * key.startswith("x"))
    if needed > memory():
        raise ValueError(
            f'data = "{name}" needs {needed / 2**30:.1f} GiB of memory, and this machine has {memory() / 2**30:.1f}: '
            "leave out examples, or make them smaller"
        )
