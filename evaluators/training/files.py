"""Arrays from a file of data, or those of the digits that come with scikit-learn. No pickle is ever loaded."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.training import memory
from evaluators.training.memory import Member

DIGITS = "digits"
KEYS = ("x_train", "y_train", "x_test", "y_test")
_HOW = 'numpy.savez("mine.npz", x_train=..., y_train=...) writes one'


def arrays_of(name: str, examples: int | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file by their keys, those of :data:`KEYS` that there are; or of :data:`DIGITS`.

    Large ones that are not compressed stay in the file until they are looked at
    (:func:`evaluators.training.memory.mapped`). ``examples`` says how many of each will be taken, None for all.

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
        members = memory.members(path)
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(f'data = "{name}" cannot be read as .npz: {error}') from None
    wanted = _checked(name, members, examples)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: memory.mapped(path, key, one) if one.is_mapped else file[key] for key, one in wanted.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise ValueError(f'data = "{name}" is damaged: {error}') from None


def stamp(name: str) -> tuple[int, ...]:
    """What changes when a file is written anew; nothing for :data:`DIGITS`, or where there is no file."""
    try:
        found = Path(name).stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _checked(name: str, members: dict[str, Member], examples: int | None) -> dict[str, Member]:
    """The arrays that are read; ValueError where some are missing, hold objects, or are more than fits."""
    missing = [key for key in KEYS[:2] if key not in members]
    if missing:
        there = ", ".join(members) or "nothing"
        raise ValueError(f'data = "{name}" has no {" and no ".join(missing)}: it holds {there}; {_HOW}')
    wanted = {key: members[key] for key in KEYS if key in members}
    for key, member in wanted.items():
        if member.dtype.hasobject:
            raise ValueError(
                f'data = "{name}": {key} holds Python objects, which are never loaded: save it as an array of '
                "numbers or of strings"
            )
    needed, there_is = memory.needed(wanted, examples), memory.memory()
    if needed > there_is:
        packed = any(one.is_compressed and one.size >= memory.LARGE for one in wanted.values())
        how = "save them with numpy.savez, which does not compress, and " if packed else ""
        raise ValueError(
            f'data = "{name}" needs {needed / 2**30:.1f} GiB of memory, and this machine has {there_is / 2**30:.1f} '
            f"left: {how}take fewer examples, with examples = 50000 under [training], or --examples 50000"
        )
    return wanted
