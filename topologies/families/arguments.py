"""Checks of the arguments of families: an inadmissible one is refused with the nearest that is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from math import prod
from operator import index
from typing import SupportsIndex

from topologies.layer import MAX_WIDTH


def whole(name: str, value: object, low: int, high: int = MAX_WIDTH) -> int:
    """``value`` as an int between ``low`` and ``high``, or a ValueError that names the nearest such number."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise ValueError(f"{name} is {value!r}: a whole number from {low} to {high} is wanted, such as {low}")
    number = index(value)
    if not low <= number <= high:
        near = min(max(number, low), high)
        raise ValueError(f"{name} is {number}: a whole number from {low} to {high} is wanted, the nearest is {near}")
    return number


def side(name: str, value: object) -> int:
    """A number of inputs or outputs."""
    return whole(name, value, 1)


def two_sides(n: object, n_out: object) -> tuple[int, int]:
    """Inputs and outputs, as many as inputs where ``n_out`` is None."""
    return both_sides(n, n if n_out is None else n_out, "n")


def both_sides(n_in: object, n_out: object, name: str = "n_in") -> tuple[int, int]:
    """Inputs and outputs, one of them at least 2, for a single weight cannot be thinned."""
    ends = side(name, n_in), side("n_out", n_out)
    if ends == (1, 1):
        raise ValueError(f"{name} is 1 and n_out is 1: a single weight cannot be thinned, the nearest is {name} = 2")
    return ends


def sizes(name: str, value: object, example: str) -> tuple[int, ...]:
    """``value`` as a tuple of ints of at least 2, such as the shape of a torus."""
    if not isinstance(value, tuple | list) or not value:
        raise ValueError(f"{name} is {value!r}: a tuple of whole numbers from 2 is wanted, such as {example}")
    return tuple(whole(f"{name}[{place}]", size, 2) for place, size in enumerate(value))


def ends(shape_name: str, shape: tuple[int, ...], n_in: object, n_out: object) -> tuple[int, int]:
    """The inputs and outputs kept of a square of ``prod(shape)`` neurons: all where none are given."""
    width = whole(f"the product of {shape_name}", prod(shape), 2)
    kept = [width if end is None else side(name, end) for name, end in (("n_in", n_in), ("n_out", n_out))]
    if max(kept) > width:
        larger = (-(-max(kept) * shape[0] // width), *shape[1:])
        raise ValueError(f"{shape_name} {shape} has {width} neurons, not {max(kept)}: the nearest is {larger}")
    return kept[0], kept[1]


def nearest(word: object, choices: Iterable[str]) -> str:
    """The choice spelled most like ``word``."""
    options = list(choices)
    return (difflib.get_close_matches(str(word), options, n=1, cutoff=0.0) or options)[0]
