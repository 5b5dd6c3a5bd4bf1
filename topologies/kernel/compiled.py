"""Compiling of kernels by numba, kept on disk, so that a machine does it once.

Numba looks for edits in the file of a function only, and a kernel takes its vectors from other files: here what is on
disk counts only while every file of this folder is what it was.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit
from numba.core import event
from numba.core.caching import IndexDataCacheFile

_log = logging.getLogger(__name__)

if config.DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT is set")


def compiled(function: Callable[..., Any]) -> Any:
    """The function compiled when it is first called: it lets other threads run, and dividing by zero gives infinity.

    Where nothing can be written beside the source or in the user's cache folder, every process compiles for itself.
    """
    try:
        dispatcher = njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # "no locator available"
        return njit(nogil=True, error_model="numpy")(function)
    old = dispatcher._cache._cache_file
    folder, base = dispatcher._cache.cache_path, old._index_name.removesuffix(".nbi")
    dispatcher._cache._cache_file = _Files(folder, base, (old._source_stamp, _sources()))
    return dispatcher


class _Files(IndexDataCacheFile):  # type: ignore[misc]
    """Numba's files, but compiled code has a name of its own, made of what it is compiled for.

    Numba counts: two processes that compile for two types at once give both the same name, and later each finds the
    other's code, which computes something else. Here a race loses an entry of the index at most.
    """

    def save(self, key: Any, data: Any) -> None:
        """Write the code first, then the index that names it."""
        digest = hashlib.sha256(repr((key, self._source_stamp)).encode()).hexdigest()
        name = f"{self._index_name.removesuffix('.nbi')}.{digest[:32]}.nbc"
        self._save_data(name, data)
        self._save_index(self._load_index() | {key: name})


def _sources() -> bytes:
    """A hash of the files of this folder."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).digest()


class _Word(event.Listener):  # type: ignore[misc]
    """Says once that compiling takes a while; what comes from disk does not.

    It hears of every function that numba compiles, also of other people's, which may be of no module.
    """

    said = False

    def on_start(self, event: Any) -> None:
        ours = (event.data["dispatcher"].py_func.__module__ or "").startswith(__package__)
        if ours and not self.said:
            self.said = True
            _log.warning("compiling the kernels of sparse layers for this machine: about twenty seconds, once")

    def on_end(self, event: Any) -> None:
        """Nothing is said."""


event.register("numba:compile", _Word())
