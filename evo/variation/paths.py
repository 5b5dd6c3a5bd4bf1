"""Which outputs a neuron reaches, while single edges come and go."""

from __future__ import annotations

from bisect import bisect
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from evo.variation.edges import Indices, Masks
from topologies.entries import ABSENT

Link = NDArray[np.bool_]
"""Whether two neurons are joined."""
Bits = NDArray[np.uint64]
"""A row a neuron, a bit for each of the neurons that it reaches or is reached from: joined 64 at a time."""
Reach = NDArray[np.float32]
"""1 where there is a path, else 0."""


class Paths:
    """The paths of a cascade, from masks that are not looked at again.

    An edge is named by its cell: its place in the masks laid out flat, row by row, one after the other.

    Attributes
    ----------
    links:
        Whether two neurons are joined, layer by layer.
    """

    def __init__(self, masks: Masks) -> None:
        self._flat = np.concatenate([mask.ravel() for mask in masks]) != ABSENT
        self._starts = list(accumulate((mask.size for mask in masks), initial=0))
        self.links: list[Link] = [
            self._flat[start:end].reshape(mask.shape)
            for mask, (start, end) in zip(masks, pairwise(self._starts), strict=True)
        ]
        self._n_in: int = masks[0].shape[0]
        self._n_out: int = masks[-1].shape[1]
        self._back = list(accumulate(reversed(self.links), _joined, initial=_each(self._n_out)))[::-1]

    @property
    def missing(self) -> int:
        """Pairs of an input and an output without a path."""
        return self._n_in * self._n_out - int(np.bitwise_count(self._back[0]).sum())

    def reached(self, place: int) -> Reach:
        """1 where a neuron of a layer of neurons, the inputs being layer 0, reaches an output, ``(width, n_out)``."""
        return _unpacked(self._back[place], self._n_out)

    def gains(self) -> list[Reach]:
        """For every layer, how many of the missing paths an edge between two neurons would make."""
        missing = 1 - self.reached(0)
        turned = (np.ascontiguousarray(link.T) for link in self.links[:-1])
        ahead = accumulate(turned, _joined, initial=_each(self._n_in))
        return [
            _unpacked(before, self._n_in) @ (missing @ self.reached(place + 1).T) for place, before in enumerate(ahead)
        ]

    def add(self, place: int, source: int, target: int) -> None:
        """Put an edge into layer ``place``."""
        self.links[place][source, target] = True
        self._back[: place + 1] = self._behind(place)

    def spare(self, cells: Indices) -> bool:
        """Take edges away if every input reaches every output without them too; whether they went."""
        last = bisect(self._starts, cells.max()) - 1
        self._flat[cells] = False
        behind = self._behind(last)
        spared = int(np.bitwise_count(behind[0]).sum()) == self._n_in * self._n_out
        if spared:
            self._back[: last + 1] = behind
        else:
            self._flat[cells] = True
        return spared

    def _behind(self, last: int) -> list[Bits]:
        """What the neurons before layer ``last`` of edges reach, as the links are now."""
        return list(accumulate(self.links[last::-1], _joined, initial=self._back[last + 1]))[:0:-1]


def _joined(bits: Bits, link: Link) -> Bits:
    """For every row of a link, the bits of all that it is joined to."""
    rows, columns = np.divmod(np.flatnonzero(link), link.shape[1])
    found = np.zeros((link.shape[0], bits.shape[1]), dtype=np.uint64)
    if rows.size:
        first = np.flatnonzero(np.diff(rows, prepend=-1))
        found[rows[first]] = np.bitwise_or.reduceat(bits[columns], first, axis=0)
    return found


def _each(count: int) -> Bits:
    """So many neurons, each of which reaches itself."""
    whole = np.zeros((count, -(-count // 64) * 64), dtype=np.bool_)
    np.fill_diagonal(whole, True)
    return np.packbits(whole, axis=1).view(np.uint64)


def _unpacked(bits: Bits, count: int) -> Reach:
    return np.unpackbits(bits.view(np.uint8), axis=1, count=count).astype(np.float32)
