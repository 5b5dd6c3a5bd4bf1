"""The entries of a mask in any of the forms in which other programs hold one: arrays, tensors, sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ABSENT, TRAINABLE, CONSTANT = 0, 1, 2
"""The values of a mask."""

Entries = tuple[tuple[int, int], NDArray[np.integer], NDArray[np.integer], NDArray[np.bool_]]


def entries(mask: Any) -> Entries:
    """The shape of a mask, and rows, columns and whether trainable of its entries that are not 0.

    Parameters
    ----------
    mask:
        Anything that NumPy takes for a matrix of numbers, a PyTorch tensor of any layout wherever it lies, or a SciPy
        sparse matrix or array of any format; what is sparse is never made dense.

    Raises
    ------
    ValueError
        For anything else, another number of dimensions, or values other than 0, 1 and 2 (True is 1, 1.0 too).
    """
    if hasattr(mask, "tocoo"):
        coo = mask.tocoo()
        return _listed(coo.shape, coo.data, coo.row, coo.col)
    if hasattr(mask, "dense_dim") and mask.dense_dim() == 0:  # a tensor that has no dimension without indices
        coo = mask.detach().to_sparse().coalesce()
        return _listed(tuple(coo.shape), coo.values(), *coo.indices())
    dense = as_array(None if hasattr(mask, "nodes") else mask)  # of a graph, numpy would take the nodes' numbers
    _check(dense, dense.ndim, f"a {type(mask).__name__} of {dense.dtype}")
    columns, rows = np.nonzero(dense.T)
    return dense.shape, rows, columns, dense[rows, columns] == TRAINABLE


def _listed(shape: tuple[int, ...], values: Any, *ends: Any) -> Entries:
    """The entries of a sparse matrix, whose values and indices are given."""
    found = as_array(values)
    _check(found, len(shape), f"a sparse one of {found.dtype}")
    there = found != ABSENT
    rows, columns = (as_array(end)[there] for end in ends)
    return (shape[0], shape[1]), rows, columns, found[there] == TRAINABLE


def as_array(values: Any) -> NDArray[Any]:
    """An array of what is given: of a PyTorch tensor too, wherever it lies, with a gradient, and of any layout.

    Types of numbers that NumPy does not have, as bfloat16, become float32. Tensors in a list are stacked.
    """
    if isinstance(values, list | tuple) and values and all(hasattr(one, "detach") for one in values):
        return np.stack([as_array(one) for one in values])
    if not hasattr(values, "detach"):
        return np.asarray(values)
    tensor = values.detach().cpu().to_dense()
    try:
        return np.asarray(tensor)
    except TypeError:
        return np.asarray(tensor.float())


def _check(values: NDArray[Any], dimensions: int, what: str) -> None:
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"a mask is an array, a tensor or a scipy sparse matrix of numbers, not {what}; networkx's "
            f"bipartite.biadjacency_matrix makes one of a layer's graph"
        )
    if dimensions != 2:
        raise ValueError(
            f"a mask has two dimensions (n_in, n_out), this one has {dimensions}; masks come in a list, one a layer"
        )
    if not np.isin(values, (ABSENT, TRAINABLE, CONSTANT)).all():
        raise ValueError("a mask holds 0 (absent), 1 (trainable) and 2 (constant) only")
