"""The matrix that a cascade with weights multiplies by, and what stands before and after each of its edges.

Weights are one array of shape ``(n_edges,)`` a layer, constants included, in the layer's order of edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from topologies.topology import Topology

Weights = Sequence[NDArray[Any]]
_Reduced = Callable[[NDArray[Any]], NDArray[Any]]


def with_ones(topology: Topology, trainable: NDArray[Any]) -> list[NDArray[Any]]:
    """Weights of all edges, constant ones being 1: from ``(n_trainable,)``, in the order of layers and their edges."""
    weights = []
    for layer, part in zip(topology.layers, _by_layer(topology, trainable), strict=True):
        of_layer = np.ones(layer.n_edges, dtype=trainable.dtype)
        of_layer[layer.trainable] = part
        weights.append(of_layer)
    return weights


def product(topology: Topology, weights: Weights) -> NDArray[Any]:
    """The matrix of the whole cascade, ``S_1 ⊙ M_1 ⋯ S_L ⊙ M_L`` (paper, Eq. 4), shape ``(n_in, n_out)``."""
    return reduce(lambda carried, matrix: matrix.T @ carried, _matrices(topology, weights), np.eye(topology.n_in)).T


def factors(
    topology: Topology,
    weights: Weights,
    rows: NDArray[Any],
    columns: NDArray[Any],
    reduced: _Reduced = lambda values: values,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """What reaches every trainable edge from either side.

    ``rows`` ``(n_in, n)`` are carried forward and ``columns`` ``(n_out, m)`` backward; the results, of shapes
    ``(n_trainable, n)`` and ``(n_trainable, m)``, are their values where an edge begins and where it ends. What is
    carried is ``reduced`` after every layer. Of identity matrices, the outer product of an edge's two results is the
    derivative of the cascade's matrix by its weight.
    """
    matrices = _matrices(topology, weights)
    before = _carried((matrix.T for matrix in matrices[:-1]), rows, reduced)
    after = _carried(matrices[:0:-1], columns, reduced)[::-1]
    beginnings = [at[layer.sources[layer.trainable]] for at, layer in zip(before, topology.layers, strict=True)]
    ends = [at[layer.targets[layer.trainable]] for at, layer in zip(after, topology.layers, strict=True)]
    return np.concatenate(beginnings), np.concatenate(ends)


def gram(topology: Topology, weights: Weights) -> NDArray[np.float64]:
    """Inner products of the matrix's derivatives by every two trainable weights, shape ``(n_trainable,) * 2``.

    It is ``(A Aᵀ) ∘ (B Bᵀ)`` of the factors A before and B after the edges (paper, section 7).
    """
    before, after = factors(topology, weights, np.eye(topology.n_in), np.eye(topology.n_out))
    inner = before @ before.T
    inner *= after @ after.T
    return np.asarray(inner)


def _by_layer(topology: Topology, trainable: NDArray[Any]) -> list[NDArray[Any]]:
    return np.split(trainable, np.cumsum([layer.n_trainable for layer in topology.layers])[:-1])


def _matrices(topology: Topology, weights: Weights) -> list[csr_array]:
    """Every layer's matrix, ``(n_in, n_out)``."""
    return [
        csr_array((values, (layer.sources, layer.targets)), (layer.n_in, layer.n_out))
        for layer, values in zip(topology.layers, weights, strict=True)
    ]


def _carried(
    matrices: Iterable[Any], values: NDArray[Any], reduced: _Reduced = lambda values: values
) -> list[NDArray[Any]]:
    """The values, and what each matrix in turn makes of them."""
    return list(accumulate(matrices, lambda carried, matrix: reduced(matrix @ carried), initial=values))
