"""Arrays of examples as a user has them: checked, taken as rows of inputs, and measured, a block at a time.

They may lie in a file and be larger than memory; whatever is done to all of them is done to a few megabytes at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 1 << 26
"""Numbers that exist a second time while they are checked, taken or standardised."""
_LEAST = 1e-30
"""Standard deviations below which numbers are still: the inverse has to be a number of 32 bits."""


def inputs(x: NDArray[Any], name: str) -> NDArray[Any]:
    """Inputs, one row an example; images of any layout are flattened as they lie."""
    x = x.reshape(len(x), -1)
    if x.dtype.kind == "f":
        finite = np.concatenate([np.isfinite(rows).all(axis=1) for rows in blocks(x)])
        if not finite.all():
            wrong = np.flatnonzero(~finite)
            raise ValueError(f"{name} is not a finite number in {len(wrong)} examples, the first at {wrong[0]}")
    return x


def origin(values: NDArray[Any], example: int) -> NDArray[np.floating[Any]] | None:
    """What is subtracted from inputs or quantities before they become float32; None where float32 holds all of them.

    It is an example to train on, so that what tells examples apart keeps its digits where all lie far from 0, as dates
    in seconds do.
    """
    with np.errstate(over="ignore"):  # what is too large is not held either
        if np.can_cast(values.dtype, np.float32) or all(
            (rows == rows.astype(np.float32)).all() for rows in blocks(values)
        ):
            return None
    return np.asarray(values[example], np.result_type(values.dtype, np.float64))


def taken(
    values: NDArray[Any], places: NDArray[np.integer[Any]], what: str, origin: NDArray[np.floating[Any]] | None
) -> NDArray[np.float32]:
    """The examples at these places as float32, of inputs or of quantities, as they are or from an origin.

    No more than a block of them exists twice.

    Raises
    ------
    ValueError
        Where some are too large; ``what`` is what they are called in the message.
    """
    taken = np.empty((len(places), values.shape[1]), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # is refused when all are there
        for rows, at in zip(blocks(taken), blocks(places, taken.shape[1]), strict=True):
            if origin is None:
                rows[:] = values[at]
            else:
                np.subtract(values[at], origin, out=rows, casting="unsafe")
    if not all(np.isfinite(rows).all() for rows in blocks(taken)):
        raise ValueError(f"{what} are too large for 32-bit numbers: scale them")
    return taken


def moments(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean of every column, and the inverse of its standard deviation, 0 where it never changes."""
    step = max(1, AT_ONCE // len(values))
    found = [_moments_at_once(values[:, start : start + step]) for start in range(0, values.shape[1], step)]
    return np.concatenate([mean for mean, _ in found]), np.concatenate([scale for _, scale in found])


def _moments_at_once(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    deviation = values.std(axis=0, dtype=np.float64)
    still = (values == values[0]).all(axis=0) | (deviation < _LEAST)
    scale = np.where(still, 0.0, 1 / np.where(still, 1.0, deviation))
    return values.mean(axis=0, dtype=np.float64).astype(np.float32), scale.astype(np.float32)


def blocks(rows: NDArray[Any], width: int | None = None) -> Iterator[NDArray[Any]]:
    """Views of a few megabytes each; ``width`` is how wide rows are, where it is not their own width."""
    step = max(1, AT_ONCE // (width or rows.shape[1]))
    return (rows[start : start + step] for start in range(0, len(rows), step))


def check_shapes(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError for inputs that are none, for labels of other examples, and for parts of different shapes."""
    inputs = [name for name in arrays if name[0] == "x"]
    for name in inputs:
        x, other = arrays[name], "y" + name[1:]
        if x.dtype.kind not in "biuf":
            raise ValueError(f"{name} holds {x.dtype}: numbers are wanted")
        if x.ndim < 2 or 0 in x.shape:
            raise ValueError(
                f"{name} has shape {x.shape}: (examples, inputs), or (examples, height, width, ...), is wanted"
            )
        if arrays[other].ndim == 0 or len(arrays[other]) != len(x):
            told = f"{name} has shape {x.shape} and {other} {arrays[other].shape}"
            raise ValueError(f"{told}: both need one entry an example")
    shapes = [arrays[name].shape[1:] for name in inputs]
    images = {shape for shape in shapes if len(shape) > 1}
    if len({int(np.prod(shape)) for shape in shapes}) > 1 or len(images) > 1:
        told = " and ".join(f"{name} {shape}" for name, shape in zip(inputs, shapes, strict=True))
        raise ValueError(f"examples differ in shape: in {told}")
