"""The sparse layer: edges between two neighbouring layers of neurons, of which a topology is a cascade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from topologies.entries import CONSTANT, TRAINABLE, entries

MAX_WIDTH = 1 << 20
"""Neurons in one layer: far above any use, low enough that widths never overflow an int32."""


@dataclass(frozen=True, eq=False)
class Layer:
    """The edges between two neighbouring layers of neurons, sorted by (target, source).

    Parameters
    ----------
    n_in, n_out:
        Numbers of neurons before and after the edges.
    sources, targets:
        integer arrays of shape ``(edges,)``, kept as int32: the neuron at each end of an edge.
    trainable:
        bool array of shape ``(edges,)``; an edge that is not trainable is the constant 1 (VII-A).

    Raises
    ------
    ValueError
        For a size that is no whole number or out of range, an index out of range, two edges between the same neurons,
        or arrays of different lengths.
    """

    n_in: int
    n_out: int
    sources: NDArray[np.integer]
    targets: NDArray[np.integer]
    trainable: NDArray[np.bool_]

    def __post_init__(self) -> None:
        for name, width in (("n_in", self.n_in), ("n_out", self.n_out)):
            if not isinstance(width, int | np.integer) or not 1 <= width <= MAX_WIDTH:
                raise ValueError(f"{name} is {width}: a layer has between 1 and {MAX_WIDTH} neurons, a whole number")
            object.__setattr__(self, name, int(width))
        sources = _indices(self.sources, self.n_in, "source")
        targets = _indices(self.targets, self.n_out, "target")
        trainable = np.array(self.trainable, dtype=np.bool_)
        if not sources.shape == targets.shape == trainable.shape:
            raise ValueError(
                f"{sources.size} sources, {targets.size} targets and {trainable.size} kinds: one of each per edge"
            )
        pair = targets.astype(np.int64) * self.n_in + sources
        if np.any(pair[1:] <= pair[:-1]):
            order = np.argsort(pair)
            pair = pair[order]
            if np.any(twice := pair[1:] == pair[:-1]):
                source, target = pair[1:][twice][0] % self.n_in, pair[1:][twice][0] // self.n_in
                raise ValueError(f"the edge {source} -> {target} is given twice")
            sources, targets, trainable = sources[order], targets[order], trainable[order]
        self.__setstate__({"sources": sources, "targets": targets, "trainable": trainable})

    @staticmethod
    def from_mask(mask: Any, *, transpose: bool = False) -> Layer:
        """The layer of a mask ``(n_in, n_out)``: 0 absent, 1 trainable, 2 constant.

        PyTorch's masks are the other way round, ``(n_out, n_in)``: ``transpose`` reads those. What else may hold a
        mask, and what is refused, says :func:`topologies.entries.entries`.
        """
        (n_in, n_out), sources, targets, trainable = entries(mask)
        if transpose:
            n_in, n_out, sources, targets = n_out, n_in, targets, sources
        return Layer(n_in, n_out, sources, targets, trainable)

    @staticmethod
    def in_order(
        n_in: int, n_out: int, sources: NDArray[np.int32], targets: NDArray[np.int32], trainable: NDArray[np.bool_]
    ) -> Layer:
        """The layer of edges that are known to be right and sorted: nothing is checked or copied, only frozen."""
        layer = object.__new__(Layer)
        layer.__setstate__(
            {"n_in": n_in, "n_out": n_out, "sources": sources, "targets": targets, "trainable": trainable}
        )
        return layer

    @property
    def n_edges(self) -> int:
        """Trainable and constant edges together."""
        return self.sources.size

    @cached_property
    def n_trainable(self) -> int:
        """Trainable edges: the layer's parameters."""
        return int(np.count_nonzero(self.trainable))

    @cached_property
    def fan_in(self) -> NDArray[np.int64]:
        """Edges into each neuron, constants included, shape ``(n_out,)``."""
        return np.bincount(self.targets, minlength=self.n_out)

    @cached_property
    def fan_out(self) -> NDArray[np.int64]:
        """Edges out of each neuron, constants included, shape ``(n_in,)``."""
        return np.bincount(self.sources, minlength=self.n_in)

    def mask(self) -> NDArray[np.int8]:
        """Dense mask of shape ``(n_in, n_out)``: 0 absent, 1 trainable, 2 constant."""
        dense = np.zeros((self.n_in, self.n_out), dtype=np.int8)
        dense[self.sources, self.targets] = np.where(self.trainable, TRAINABLE, CONSTANT)
        return dense

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layer) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> tuple[int, int, bytes, bytes, bytes]:
        return (self.n_in, self.n_out, self.sources.tobytes(), self.targets.tobytes(), self.trainable.tobytes())

    def __getstate__(self) -> dict[str, Any]:
        """Only the fields travel; cached values are made again where they are wanted."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __setstate__(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)


def _indices(values: ArrayLike | Sequence[int], limit: int, what: str) -> NDArray[np.int32]:
    """One-dimensional integers in ``[0, limit)`` as int32, refused otherwise."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{what} indices have {array.ndim} dimensions, not one")
    if array.size == 0:
        return np.zeros(0, dtype=np.int32)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{what} indices are {array.dtype}, not integers")
    if array.min() < 0 or array.max() >= limit:
        wrong = array[(array < 0) | (array >= limit)][0]
        raise ValueError(f"{what} index {wrong} is out of range: this side has {limit} neurons")
    return array.astype(np.int32)
