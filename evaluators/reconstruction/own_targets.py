"""Matrices of a user's own as targets: the weights of a trained network, for instance.

Several matrices are shuffled by a fixed key and split: a quarter each for validation and for test, the rest for search.
A single one is fitted as it is in every split, and nothing is held out. All have the mean square that random targets
have, 1, so that learning rates mean the same.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open

from evaluators.rng import generator
from evaluators.task import Split
from topologies.entries import as_array

NOTHING_HELD_OUT = "nothing is held out"
"""What is told of a single matrix, which stands in every split."""
_READ = (
    "targets are read from .safetensors files, of which PyTorch's weights are (outputs, inputs), and from .npz files"
)


@dataclass(frozen=True)
class OwnTargets:
    """Target matrices by split, each float32 of shape ``(matrices, n_in, n_out)``; the least is one a split.

    Raises
    ------
    ValueError
        From :meth:`of` and :meth:`read`, in one line, for what cannot be read, fitted, or split.
    """

    matrices: Mapping[Split, NDArray[np.float32]]
    fingerprint: str
    """SHA-256 of the matrices."""

    @property
    def n_in(self) -> int:
        """Rows of every matrix."""
        return int(self.matrices[Split.SEARCH].shape[1])

    @property
    def n_out(self) -> int:
        """Columns of every matrix."""
        return int(self.matrices[Split.SEARCH].shape[2])

    @property
    def holds_out(self) -> bool:
        """Whether the test matrices are others than those that the search sees."""
        return self.matrices[Split.TEST] is not self.matrices[Split.SEARCH]

    def __str__(self) -> str:
        size = f"{self.n_in} x {self.n_out}"
        if not self.holds_out:
            return f"one matrix of {size}, fitted as it is: {NOTHING_HELD_OUT}"
        counts = ", ".join(f"{len(matrices)} for {split}" for split, matrices in self.matrices.items())
        alone = "; of one matrix intervals are over random starts" if len(self.matrices[Split.TEST]) == 1 else ""
        return f"matrices of {size}: {counts}{alone}"

    def target(self, index: int, split: Split) -> NDArray[np.float32]:
        """Target number ``index`` of a split, ``(n_in, n_out)``: where there are fewer, they come round again."""
        found = self.matrices[split]
        return np.asarray(found[index % len(found)])

    @staticmethod
    def read(name: str, transpose: bool | None = None) -> OwnTargets:
        """Matrices from a file: ``"layers.safetensors:blocks.*.mlp.fc1.weight"``, or without a pattern all there are.

        Parameters
        ----------
        name:
            A ``.safetensors`` or ``.npz`` file, and after a colon a pattern of names with ``*`` and ``?``.
        transpose:
            Whether the file's matrices are (outputs, inputs), as PyTorch keeps weights. By default those of
            ``.safetensors`` files are, and those of ``.npz`` files are (inputs, outputs).
        """
        file, _, pattern = name.partition(":")
        try:
            found = _chosen(Path(file), pattern or "*")
            turned = transpose if transpose is not None else Path(file).suffix == ".safetensors"
            return OwnTargets.of({one: matrix.T if turned else matrix for one, matrix in found.items()})
        except ValueError as error:
            raise ValueError(f'targets = "{name}": {error}') from None

    @staticmethod
    def of(given: Mapping[str, ArrayLike]) -> OwnTargets:
        """Matrices ``(n_in, n_out)``, all of one size, by name; of equal ones, such as tied weights, the first."""
        named = {name: _normalised(as_array(matrix), name) for name, matrix in sorted(given.items())}
        first = {(matrix.shape, matrix.tobytes()): name for name, matrix in reversed(named.items())}
        matrices = {name: named[name] for name in sorted(first.values())}
        sizes = Counter(matrix.shape for matrix in matrices.values())
        if len(sizes) > 1:
            told = ", ".join(f"{n_in} x {n_out} ({count})" for (n_in, n_out), count in sizes.most_common())
            raise ValueError(f"matrices of several sizes, inputs x outputs: {told}; choose those of one by a pattern")
        if len(matrices) == 2:
            raise ValueError(
                f"two matrices, {' and '.join(matrices)}: three or more are split into search, validation and test, "
                "and one alone is fitted as it is"
            )
        digest = hashlib.sha256()
        for name, matrix in matrices.items():
            digest.update(f"{name} {matrix.shape} ".encode() + matrix.tobytes())
        return OwnTargets(_split(np.stack(list(matrices.values()))), digest.hexdigest()[:32])


def _split(stack: NDArray[np.float32]) -> dict[Split, NDArray[np.float32]]:
    if len(stack) == 1:
        return dict.fromkeys(Split, stack)
    shuffled = stack[generator(0, "own targets", "order").permutation(len(stack))]
    size = max(1, len(stack) // 4)
    return {
        Split.SEARCH: shuffled[2 * size :],
        Split.VALIDATION: shuffled[size : 2 * size],
        Split.TEST: shuffled[:size],
    }


def _normalised(matrix: NDArray[Any], name: str) -> NDArray[np.float32]:
    """A matrix with mean square 1."""
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf" or 0 in matrix.shape:
        raise ValueError(f"{name} is {matrix.dtype} of shape {matrix.shape}, and a target is a matrix of real numbers")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{name} holds what is not a finite number")
    root = float(np.sqrt(np.square(matrix, dtype=np.float64).mean()))
    if not root > 0:
        raise ValueError(f"{name} is zero everywhere: every topology reconstructs it")
    return np.ascontiguousarray(matrix / root, dtype=np.float32)


def _chosen(path: Path, pattern: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file whose names match a pattern."""
    readers = {".safetensors": _from_safetensors, ".npz": _from_npz}
    if path.suffix not in readers:
        raise ValueError(f"not a file that is read here: {_READ}")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        return readers[path.suffix](path, pattern)
    except (OSError, EOFError, zipfile.BadZipFile, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def _from_npz(path: Path, pattern: str) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in _matching(file.files, pattern)}


def _from_safetensors(path: Path, pattern: str) -> dict[str, NDArray[Any]]:
    """Through PyTorch, for numpy has no bfloat16."""
    with safe_open(path, framework="pt") as file:
        return {name: as_array(file.get_tensor(name)) for name in _matching(list(file.keys()), pattern)}


def _matching(names: list[str], pattern: str) -> list[str]:
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        there = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise ValueError(f"no array is called {pattern!r}; the file holds {there or 'nothing'}")
    return found
