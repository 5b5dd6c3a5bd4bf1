"""Memory: how much there is, how much data need, and arrays that stay in their file until their examples are taken."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

LARGE = 1 << 28
"""Bytes of an array from which it is mapped where it can be; a smaller one is read whole, and its checksum checked."""
CONTAINERS = Path("/sys/fs/cgroup")
"""Where Linux tells how much memory a container may use."""
_LIMITS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""Files of the limit, of what is used, and of what that consists of, with the key of what is freed when it is wanted:
copies of files that nobody reads. Of version 2 of control groups, and of version 1."""
_LOCAL_HEADER = 30
"""Bytes of a zip file's header of a member, of which the lengths of what follows it are the last four."""


class Member(NamedTuple):
    """An array of an ``.npz`` file, as its header tells without its being read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    is_compressed: bool
    start: int
    """Bytes of the member before its numbers begin."""

    @property
    def entries(self) -> int:
        """Numbers in the array."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return self.entries * self.dtype.itemsize

    @property
    def is_mapped(self) -> bool:
        """Whether the array stays in its file: a large one that is neither compressed nor stored by columns."""
        return self.size >= LARGE and not self.is_compressed and not self.is_fortran and not self.dtype.hasobject


def members(path: Path) -> dict[str, Member]:
    """The arrays of an ``.npz`` file by their keys; what zipfile and numpy raise for other files."""
    with zipfile.ZipFile(path) as archive:
        return {
            info.filename.removesuffix(".npy"): _member(archive, info)
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }


def mapped(path: Path, key: str, member: Member) -> NDArray[Any]:
    """An array that is read from its file where and when it is looked at; nothing checks its checksum."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        start = archive.getinfo(f"{key}.npy").header_offset
        file.seek(start + _LOCAL_HEADER - 4)
        name, extra = np.frombuffer(file.read(4), "<u2").astype(int)
    offset = start + _LOCAL_HEADER + int(name) + int(extra) + member.start
    return np.memmap(path, member.dtype, "r", offset, member.shape)


def needed(found: dict[str, Member], examples: int | None) -> int:
    """Bytes that data need: what is read of them as it is, and every example that is taken.

    Inputs are taken as float32, and twice, because Ray keeps a copy for the workers.
    """
    whole = 0
    for key, member in found.items():
        taken = 1.0 if examples is None or not member.shape else min(1.0, examples / max(1, member.shape[0]))
        whole += 0 if member.is_mapped else member.size
        whole += round(taken * member.entries * (2 * 4 if key.startswith("x") else member.dtype.itemsize))
    return whole


def memory() -> int:
    """Bytes of memory that are left, in this machine and in the container that this process may be in."""
    return min([_of_machine(), *(left for limit in _LIMITS if (left := _of_container(*limit)) is not None)])


def _of_machine() -> int:
    """Bytes that this machine has left, where the system tells, and else all that it has."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) * 1024
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_container(limit: str, used: str, parts: str, freed: str) -> int | None:
    """Bytes that are left of a container's limit; None where there is none."""
    try:
        most, now = (int((CONTAINERS / file).read_text(encoding="ascii")) for file in (limit, used))
        lines = (CONTAINERS / parts).read_text(encoding="ascii").splitlines()
        return max(0, most - now + sum(int(line.split()[1]) for line in lines if line.startswith(f"{freed} ")))
    except (OSError, ValueError):
        return None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    with archive.open(info) as file:
        read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
        shape, is_fortran, dtype = read(file)
        return Member(shape, dtype, is_fortran, info.compress_type != zipfile.ZIP_STORED, file.tell())
