"""Which examples are in which part of data, and which of those a draw takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.rng import generator

Places = Mapping[str, NDArray[np.integer[Any]]]
"""Of each part its examples: those of "test" in x_test where there is one, all others in x_train."""

_FEWEST = 20
"""Examples in the smallest part."""
_USUAL = 5000
"""Examples in the search and the validation part, where that is a tenth to a fifth of all."""


def parts_of(count: int, of_test: int | None, examples: int | None) -> Places:
    """The parts of data with so many examples in x_train and in x_test, of which ``examples`` are taken at most.

    All data are shuffled by a fixed key and split, and then the first of each part are taken, at most as many as if
    those were all there are. So a part of a draw lies within that part of all data, and whatever a search on a draw
    has chosen by is never tested on, however many examples are taken then.

    Raises
    ------
    ValueError
        When the smallest part for search, validation or test has too few.
    """
    taken = count if examples is None else min(count, examples)
    whole, wanted = (_sizes(some, of_test is not None) for some in (count, taken))
    order = generator(0, "data", "order").permutation(count)
    ends = np.cumsum(list(whole.values()))[:-1]
    found = {name: part[: wanted[name]] for name, part in zip(whole, np.split(order, ends), strict=True)}
    if of_test is not None:
        found["test"] = np.sort(generator(0, "data", "examples", "test").permutation(of_test)[:examples])
    smallest = min(len(found["search"]), len(found["test"]))
    if smallest < _FEWEST:
        told = f"{count}" if taken == count else f"{taken} of {count}"
        raise ValueError(
            f"{told} examples in x_train are too few: the smallest of the parts for search, validation and "
            f"test would have {smallest}, and {_FEWEST} are the least"
        )
    return found


def drawn(arrays: Mapping[str, NDArray[Any]], parts: Places) -> tuple[dict[str, NDArray[Any]], Places]:
    """The examples that are in a part, in the order in which they lie, and the places of the parts among them."""
    found, places = dict(arrays), dict(parts)
    of_arrays = {"train": [*parts]}
    if "x_test" in arrays:
        of_arrays = {"train": [name for name in parts if name != "test"], "test": ["test"]}
    for array, names in of_arrays.items():
        kept = np.sort(np.concatenate([parts[name] for name in names]))
        if len(kept) < len(arrays[f"x_{array}"]):
            found |= {name: arrays[name][kept] for name in (f"x_{array}", f"y_{array}")}
            places |= {name: np.searchsorted(kept, parts[name]) for name in names}
    return found, places


def _sizes(count: int, has_test: bool) -> dict[str, int]:
    """Examples of each part of x_train, in the order in which they are split off.

    Without x_test a fifth is for test. Of the rest search and validation have a fifth each up to 5,000, or a tenth
    where that is more.
    """
    test = 0 if has_test else count // 5
    part = max(min(_USUAL, (count - test) // 5), (count - test) // 10)
    return {"test": test, "search": part, "validation": part, "train": count - test - 2 * part}
