"""Tangent rank: how many entries of the product matrix can be set independently, and how well conditioned that is.

The derivative of the product by a weight is a rank-one matrix: a column of the layers before the edge times a row of
those after it. The generic rank of these derivatives is the dimension of the set of matrices that can be reached (the
rigorous form of the paper's section VI-A). It is computed modulo a prime, with random residues for weights: rounding
would lose the small singular values of deep cascades, and count 481 instead of 608 for an 18-layer butterfly.

Instead of all entries of the product, as many observations ``x W_d y`` are differentiated as can be independent, with
random rows x and columns y. No rank is lost: such observations span all entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from evaluators.rng import generator
from evaluators.task import Fidelity, Score, Split
from topologies.initialise import initial_weights
from topologies.product import factors, gram
from topologies.reach import alive
from topologies.topology import Topology

PRIME = 8_388_593
"""The greatest prime below 2^23: a float adds up 2^9 products of residues in (-2^22, 2^22) without rounding."""

_PANEL = 64  # rows eliminated between two products of matrices; far below 2^9

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of the Gram matrix of the product's derivatives at some weights: squared singular values.

    ``eigenvalues`` has shape ``(n_trainable,)``, the greatest first; ``rank`` is how many are not zero in exact
    arithmetic. Rounding hides those below ``floor``, which stands in for them.
    """

    eigenvalues: _Floats
    rank: int

    @property
    def floor(self) -> float:
        """The least eigenvalue that can be told from 0: some rounding errors of the greatest."""
        return float(self.eigenvalues.max(initial=0) * self.eigenvalues.size * np.finfo(np.float64).eps)

    @cached_property
    def _kept(self) -> _Floats:
        return np.maximum(self.eigenvalues[: self.rank], self.floor)

    @property
    def effective_rank(self) -> float:
        """The exponential of the entropy of the eigenvalues' shares of their sum; 0 where all are 0."""
        shares = self._kept / self._kept.sum() if self.rank else self._kept
        return float(np.exp(-np.sum(shares * np.log(shares)))) if self.rank else 0.0

    @property
    def log_volume(self) -> float:
        """Logarithm of the volume that a unit cube of weights is mapped to: half the sum of logarithms; 0 of none."""
        return float(np.log(self._kept).sum() / 2)


class TangentRank:
    """Scores a topology by the number of product entries that can be set independently."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """The share of entries that cannot be set independently, as the error of every target.

        ``1 - rank / (n_in n_out)``: 0 for a dense layer, 1 without trainable edges or connected pairs. The arithmetic
        is exact, so that no bit depends on threads.
        """
        return Score((1 - self.analyse(topology) / (topology.n_in * topology.n_out),) * fidelity.targets)

    def analyse(self, topology: Topology) -> int:
        """The generic rank: 0 without trainable edges on a path.

        Some 30 ms for E = 640 parameters at n = 32; in general ``40 E²`` bytes and ``E³`` operations, which is 1 GB and
        half a minute for E = 5000 at n = 256. Never too high, and certainly right where it equals
        :func:`greatest_rank`; elsewhere too low with a probability below E (depth + 1) / PRIME, in practice 1 / PRIME.
        """
        return _rank(_observations(topology, greatest_rank(topology)))

    def spectrum(self, topology: Topology, seed: int = 0) -> Spectrum:
        """The Gram spectrum at initial weights (see :mod:`topologies.initialise`), drawn from ``seed``.

        The last bits depend on the number of BLAS threads.
        """
        weights = initial_weights(topology, generator(seed, "tangent"))
        inner = gram(topology, weights)
        eigenvalues = eigvalsh(inner, overwrite_a=True, check_finite=False)[::-1] if inner.size else np.zeros(0)
        return Spectrum(np.maximum(eigenvalues, 0), self.analyse(topology))


def greatest_rank(topology: Topology) -> int:
    """A simple bound on the rank: parameters on a path from an input to an output, less one for every free scale.

    Hidden neurons that constant edges join share a scale. It is free unless it touches an input or an output: what
    the weights before it gain and those after it lose cancels (the exact form of VII-A). Nor can more than
    n_in n_out entries be set.
    """
    lives = alive(topology)
    useful = [
        before[layer.sources] & after[layer.targets]
        for before, after, layer in zip(lives, lives[1:], topology.layers, strict=False)
    ]
    parameters = sum(int((use & layer.trainable).sum()) for use, layer in zip(useful, topology.layers, strict=True))
    return min(parameters - _free_scales(topology, lives, useful), topology.n_in * topology.n_out)


def _free_scales(topology: Topology, lives: list[NDArray[np.bool_]], useful: list[NDArray[np.bool_]]) -> int:
    """How many groups of living hidden neurons, joined by useful constant edges, touch no input and no output."""
    starts = np.cumsum([0, *topology.widths])
    fixed = [use & ~layer.trainable for use, layer in zip(useful, topology.layers, strict=True)]
    by_layer = list(zip(topology.layers, fixed, starts, starts[1:], strict=False))
    tails = np.concatenate([start + layer.sources[kept] for layer, kept, start, _ in by_layer])
    heads = np.concatenate([start + layer.targets[kept] for layer, kept, _, start in by_layer])
    size = int(starts[-1])
    joined = csr_array((np.ones(tails.size), (tails, heads)), (size, size))
    _, group_of = connected_components(joined, directed=False)
    hidden = slice(topology.n_in, int(starts[-2]))
    ends = np.concatenate([group_of[: topology.n_in], group_of[starts[-2] :]])
    return np.setdiff1d(group_of[hidden][np.concatenate(lives)[hidden]], ends).size


def _observations(topology: Topology, count: int) -> _Floats:
    """Derivatives of random observations by the weights, as residues: shape ``(n_trainable, count)``."""
    draw = generator(0, "residues")
    weights = [np.where(layer.trainable, draw.integers(1, PRIME, layer.n_edges), 1) for layer in topology.layers]
    rows, columns = (draw.integers(PRIME, size=(width, count)) for width in (topology.n_in, topology.n_out))
    before, after = factors(topology, weights, rows, columns, lambda values: values % PRIME)
    return _centred((before * after % PRIME).astype(np.float64))


def _rank(matrix: _Floats) -> int:
    """The rank of a matrix of centred residues, by Gaussian elimination, a panel of rows at a time."""
    rank = 0
    while matrix.size:
        pivots, panel = _eliminated(matrix[:_PANEL].copy())
        rank += len(pivots)
        left = np.ones(matrix.shape[1], dtype=np.bool_)
        left[pivots] = False
        below = matrix[_PANEL:]
        matrix = _centred(below[:, left] - below[:, pivots] @ panel[:, left])
    return rank


def _eliminated(panel: _Floats) -> tuple[list[int], _Floats]:
    """Pivot columns and as many rows, equivalent to the panel's, that are the identity there. Overwrites the panel."""
    rows, pivots = [], []
    for place in range(len(panel)):
        row = _centred(panel[place])
        pivot = int(np.abs(row).argmax())
        if row[pivot]:
            row = _centred(row * pow(int(row[pivot]), -1, PRIME))
            panel -= _centred(panel[:, pivot])[:, None] * row  # reduced later: 64 products fit
            panel[place] = row
            rows.append(place)
            pivots.append(pivot)
    return pivots, _centred(panel[rows])


def _centred(values: _Floats) -> _Floats:
    """Residues nearest to zero, of integers below 2^53."""
    quotients = values * (1 / PRIME)
    np.rint(quotients, out=quotients)
    quotients *= PRIME
    return np.asarray(np.subtract(values, quotients, out=quotients))
