"""Which inputs reach a neuron, and which outputs it reaches, while single edges come and go."""

from __future__ import annotations

from bisect import bisect
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from evo.variation.edges import Indices, Masks
from topologies.topology import ABSENT

Reach = NDArray[np.float32]
"""1 where there is a path, else 0."""


class Paths:
    """The paths of a cascade, from masks that are not looked at again.

    An edge is named by its cell: its place in the masks laid out flat, row by row, one after the other.

    Attributes
    ----------
    links:
        1 where two neurons are joined, else 0: the masks as the type that multiplies fastest.
    ahead:
        For every layer of neurons, inputs first, which inputs reach which neurons, ``(n_in, width)`` each.
    """

    def __init__(self, masks: Masks) -> None:
        self._flat = (np.concatenate([mask.ravel() for mask in masks]) != ABSENT).astype(np.float32)
        self._starts = list(accumulate((mask.size for mask in masks), initial=0))
        self.links = [
            self._flat[start:end].reshape(mask.shape)
            for mask, (start, end) in zip(masks, pairwise(self._starts), strict=True)
        ]
        inputs = np.eye(masks[0].shape[0], dtype=np.float32)
        self.ahead = list(accumulate(self.links, _onward, initial=inputs))

    @cached_property
    def back(self) -> list[Reach]:
        """For every layer of neurons, inputs first, which neurons reach which outputs, ``(width, n_out)`` each."""
        outputs = np.eye(self.links[-1].shape[1], dtype=np.float32)
        return list(accumulate(reversed(self.links), lambda after, link: _onward(link, after), initial=outputs))[::-1]

    @property
    def missing(self) -> Reach:
        """1 where no path leads from an input to an output, ``(n_in, n_out)``."""
        return 1 - self.ahead[-1]

    def gains(self) -> list[Reach]:
        """For every layer, how many of the missing paths an edge between two neurons would make."""
        missing = self.missing
        return [before.T @ (missing @ after.T) for before, after in zip(self.ahead, self.back[1:], strict=False)]

    def add(self, place: int, source: int, target: int) -> None:
        """Put an edge into layer ``place``."""
        self.links[place][source, target] = 1
        self._renew(place, place)

    def spare(self, cells: Indices) -> bool:
        """Take edges away if every input reaches every output without them too; whether they went."""
        first, last = (bisect(self._starts, end) - 1 for end in (cells.min(), cells.max()))
        reach, back = self.ahead[first], self.back[last + 1]  # on either side of the edges
        self._flat[cells] = 0
        for link in self.links[first : last + 1]:
            reach = _onward(reach, link)
        if spared := bool((reach @ back).all()):
            self._renew(first, last)
        else:
            self._flat[cells] = 1
        return spared

    def _renew(self, first: int, last: int) -> None:
        """Follow the paths again after a change to the layers from ``first`` to ``last``."""
        self.ahead[first:] = accumulate(self.links[first:], _onward, initial=self.ahead[first])
        for place in range(last, -1, -1):
            self.back[place] = _onward(self.links[place], self.back[place + 1])


def _onward(reach: Reach, link: Reach) -> Reach:
    """What is reached over one layer more."""
    onward: Reach = reach @ link
    return np.minimum(onward, 1, out=onward)
