"""Where inputs are: which are near each other, on a grid or by how they go together in the data.

Every input has a profile, a unit vector, and two are the nearer the greater the dot product of their profiles. A neuron
is where its sources are, so that its profile is the mean of theirs; this defines nearness at every level of a cascade
without a place of a hidden neuron having to be remembered.

Profiles are whole multiples of 1/2048. Their dot products are then exact in float32, in whatever order they are added
up, so that what a search breeds does not depend on the processor's way to multiply matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from evo.variation.edges import Indices, Masks
from topologies.topology import Topology

Profiles = NDArray[np.float32]
"""One row a neuron, of length 1, or 0 where nothing is known of it."""

EXACT = 2.0**22
"""Dot products of profiles are whole multiples of one over this."""
_GRAIN = 2.0**11
_MOST = 256
"""Entries of a profile; wider kernels are approximated."""
_LEFT = 1e-4
"""The part of a profile's squared length that may be lost where it is approximated by fewer entries."""
_EXAMPLES, _CELLS = 10_000, 10_000_000
"""Examples from which correlations are computed, and inputs times examples: more would not change them visibly."""


@dataclass(frozen=True, eq=False)
class Space:
    """The profiles of a topology's inputs, made by :meth:`of_grid` or :meth:`of_data`.

    Parameters
    ----------
    profiles:
        float32 of shape ``(n_in, k)``; rows have length 1, or 0 for an input that is near no other.
    """

    profiles: Profiles

    def __post_init__(self) -> None:
        self.profiles.flags.writeable = False

    def __len__(self) -> int:
        return len(self.profiles)

    @staticmethod
    def of_grid(shape: Sequence[int]) -> Space:
        """Inputs on a grid ``(height, width)`` or ``(height, width, channels)``, numbered row by row.

        The dot product falls with the distance; the channels of a pixel are all at distance 1 from each other.

        Raises
        ------
        ValueError
            For another number of sides, or one below 1.
        """
        if len(shape) not in (1, 2, 3) or min(shape) < 1:
            raise ValueError(f"{list(shape)} is no grid: [height, width] or [height, width, channels], each at least 1")
        places = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1).astype(np.float64)
        if len(shape) == 3:
            places = np.hstack([places[:, :2], np.eye(shape[2])[places[:, 2].astype(int)] / np.sqrt(2)])
        reach = min(8.0, max(1.0, max(shape[:2]) / 4))
        return Space(
            _profiles(
                np.ones(len(places)),
                lambda place: np.exp(-((places - places[place]) ** 2).sum(axis=1) / (2 * reach**2)),
            )
        )

    @staticmethod
    def of_data(x: NDArray[np.floating]) -> Space:
        """Inputs by the data ``(examples, inputs)``: the dot product of two is the square of their correlation.

        Squares have no sign: of two inputs that always oppose each other one says what the other does, and they are
        near. An input that never changes is near no other. At most 10,000 examples are looked at, the first; profiles
        of more than 256 inputs are approximate.
        """
        x = np.asarray(x[: max(2, min(_EXAMPLES, _CELLS // x.shape[1]))], dtype=np.float64)
        centred = x - x.mean(axis=0)
        lengths = np.sqrt((centred**2).sum(axis=0))
        changes = (x != x[0]).any(axis=0) & (lengths > 0)
        centred *= changes / np.where(changes, lengths, 1.0)
        squares = (centred.T @ centred) ** 2
        return Space(_profiles(changes.astype(np.float64), lambda place: squares[place]))

    @cached_property
    def known(self) -> Indices:
        """The inputs that are near some other; all where there is none."""
        known = np.flatnonzero(self.profiles.any(axis=1))
        return known if known.size else np.arange(len(self))

    def homes(self, number: int) -> Indices:
        """The inputs at whose places so many outputs are, evenly spread; output j is at input j where that can be."""
        if number == len(self):
            at = np.arange(number)
            return np.where(np.isin(at, self.known), at, np.resize(self.known, number))
        return self.known[np.arange(number) * self.known.size // number]

    def after(self, topology: Topology) -> Space:
        """The outputs of a topology that has these inputs."""
        return Space(self.levels(topology.masks())[-1])

    def levels(self, masks: Masks) -> list[Profiles]:
        """Profiles of every layer of neurons of a cascade, inputs first, ``len(masks) + 1`` arrays."""
        return list(accumulate(masks, onward, initial=self.profiles))

    @cached_property
    def order(self) -> Indices:
        """The inputs in an order in which near ones stand together, shape ``(n_in,)``; see :func:`paired`."""
        return paired(self.profiles @ self.profiles.T)


def onward(profiles: Profiles, mask: NDArray[np.int8]) -> Profiles:
    """Profiles of the targets of a layer's edges: each the normalised mean of its sources'."""
    return _unit((mask != 0).astype(np.float32).T @ profiles)


def paired(nearness: NDArray[np.floating]) -> Indices:
    """An order in which every aligned block of 2, 4, 8, ... is a cluster of near items.

    Bottom-up: the nearest two clusters are joined, then the nearest of the rest, until all have a partner (but one,
    where they are odd in number); then the pairs are the clusters.

    Parameters
    ----------
    nearness:
        Symmetric, ``(n, n)``.
    """
    clusters = [[item] for item in range(len(nearness))]
    total = np.array(nearness, dtype=np.float64)
    while len(clusters) > 1:
        sizes = np.array([len(cluster) for cluster in clusters])
        pairs = _matching(total / np.outer(sizes, sizes))
        left = np.setdiff1d(np.arange(len(clusters)), pairs)
        groups = [*([first, second] for first, second in pairs.tolist()), *([alone] for alone in left.tolist())]
        clusters = [[item for place in group for item in clusters[place]] for group in groups]
        starts = np.cumsum([0, *(len(group) for group in groups[:-1])])
        in_order = np.concatenate(groups).astype(np.intp)
        total = np.add.reduceat(np.add.reduceat(total[np.ix_(in_order, in_order)], starts, axis=0), starts, axis=1)
    return np.array(clusters[0], dtype=np.intp)


def _matching(nearness: NDArray[np.float64]) -> Indices:
    """Pairs as a greedy matching finds them, nearest first, shape ``(pairs, 2)``: all that prefer each other, then on.

    Of equals the lowest number is preferred, so that there always are two that prefer each other.
    """
    nearness = nearness.copy()
    np.fill_diagonal(nearness, -np.inf)
    free, found, merit = np.arange(len(nearness)), [], []
    while free.size > 1:
        best = nearness.argmax(axis=1)
        here = np.arange(free.size)
        mutual = (best[best] == here) & (here < best)
        found.append(np.stack((free[here[mutual]], free[best[mutual]]), axis=1))
        merit.append(nearness[here[mutual], best[mutual]])
        stays = np.setdiff1d(here, np.concatenate((here[mutual], best[mutual])))
        nearness, free = nearness[np.ix_(stays, stays)], free[stays]
    pairs: Indices = np.concatenate(found)[np.argsort(-np.concatenate(merit), kind="stable")]
    return pairs


def _profiles(lengths: NDArray[np.float64], kernel: Callable[[int], NDArray[np.float64]]) -> Profiles:
    """Unit rows whose dot products are a positive definite kernel, by Cholesky's method with pivots.

    Parameters
    ----------
    lengths:
        The kernel's diagonal, 1, or 0 for rows that shall be 0.
    kernel:
        Gives a column of the kernel.
    """
    left = lengths.copy()
    root = np.zeros((len(left), min(len(left), _MOST)))
    for place in range(root.shape[1]):
        pivot = int(np.round(left, 6).argmax())  # rounding decides no choice among equals
        if left[pivot] < _LEFT:
            return _unit(root[:, :place])
        known = root[:, :place]
        root[:, place] = (kernel(pivot) - known @ known[pivot]) / np.sqrt(left[pivot])
        left = np.maximum(left - root[:, place] ** 2, 0.0)
    return _unit(root)


def _unit(rows: NDArray[np.floating]) -> Profiles:
    """Rows at length 1, or 0, in whole multiples of the grain."""
    lengths = np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    unit = np.divide(rows, lengths, out=np.zeros(rows.shape), where=lengths > 1e-6)
    return np.asarray(np.rint(unit * _GRAIN) / _GRAIN, dtype=np.float32)


def behind(space: Space | None, places: Sequence[Topology], n_in: int) -> Space | None:
    """Where the inputs of a place are that stands behind others; None where they are not the outputs of a chain."""
    for topology in places:
        if space is None or len(space) != topology.n_in:
            return None
        space = space.after(topology)
    return space if space is not None and len(space) == n_in else None
