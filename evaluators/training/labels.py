"""What examples are to be mapped to: labels or numbers in whatever form they come, made one of two kinds.

Labels may be whole numbers, strings, truth values or one-hot rows; they become the numbers of classes, sorted. Numbers
with fractions are quantities to be predicted. What could be meant either way is asked about rather than guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Kind = Literal["classification", "regression"]
KINDS: tuple[Kind, ...] = ("classification", "regression")

_MOST_CLASSES = 0.5
"""Share of the examples that may have a class of their own: with more, labels are numbers of something else."""


class Labels(NamedTuple):
    """What examples are mapped to, for training and for test.

    ``train`` and ``test`` hold the numbers of classes, int64 of shape ``(examples,)``, where there are ``classes``;
    else quantities, of any type and of shape ``(examples, outputs)``. ``test`` is None where it was given as None.
    """

    train: NDArray[np.generic]
    test: NDArray[np.generic] | None
    classes: tuple[str, ...]

    @property
    def outputs(self) -> int:
        """Outputs that a model needs."""
        return len(self.classes) or self.train.shape[1]


class UnmetClassError(ValueError):
    """A class of which there is no example to train on, by its name."""

    def __init__(self, name: str, told: str) -> None:
        super().__init__(told)
        self.name = name


def labels(train: NDArray[np.generic], test: NDArray[np.generic] | None, kind: Kind | None = None) -> Labels:
    """Labels or quantities from arrays of any form.

    Parameters
    ----------
    train, test:
        Arrays of one entry or one row an example.
    kind:
        What they are, where the arrays alone do not tell.

    Raises
    ------
    ValueError
        For what is neither, or could be either; for a single class, and for classes that only the test part has.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"task = {kind!r}: {' or '.join(KINDS)} is meant")
    given = {"y_train": _plain(train, "y_train")}
    if test is not None:
        given["y_test"] = _plain(test, "y_test")
    given = {name: _from_one_hot(y) for name, y in given.items()} if kind != "regression" else given
    found = kind or _kind(given)
    return _quantities(given) if found == "regression" else _classes(given)


def check_classes_are_met(classes: tuple[str, ...], trained_on: NDArray[Any], are_numbers: bool) -> None:
    """Raise ValueError where a class has no example to train on; where labels are numbers, they may be quantities."""
    missing = np.flatnonzero(np.bincount(trained_on, minlength=len(classes)) == 0)
    if len(missing):
        name = classes[missing[0]]
        told = f"class {name} has so few examples that none is in the training part: leave it out, or add more"
        raise UnmetClassError(name, f"{told}; if y are quantities, {_said('regression')}" if are_numbers else told)


def _plain(y: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    """One entry or one row an example, of one of the usual types, without NaN."""
    if y.dtype.kind == "S":
        y = np.char.decode(y.astype(np.bytes_), "utf-8", "backslashreplace")
    if y.dtype == object and all(isinstance(one, str) for one in y.flat):
        y = y.astype(str)
    if y.dtype.kind not in "biufU":
        raise ValueError(f"{name} holds {y.dtype}: numbers or strings are wanted")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim not in (1, 2) or 0 in y.shape:
        raise ValueError(f"{name} has shape {y.shape}: one entry, or one row, an example is wanted")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        wrong = np.flatnonzero(~np.isfinite(y.reshape(len(y), -1)).all(axis=1))
        raise ValueError(f"{name} is not a finite number in {len(wrong)} examples, the first at {wrong[0]}")
    return y


def _from_one_hot(y: NDArray[np.generic]) -> NDArray[np.generic]:
    """The numbers of the columns where each row has its only 1; anything else as it is."""
    if y.ndim == 1 or y.dtype.kind == "U":
        return y
    hot = y == 1
    if not ((y == 0) | hot).all() or not (hot.sum(axis=1) == 1).all():
        return y
    return np.asarray(hot.argmax(axis=1))


def _kind(given: dict[str, NDArray[np.generic]]) -> Kind:
    """What arrays are, if they leave no doubt."""
    y = given["y_train"]
    if y.dtype.kind != "f":
        return "classification"
    if y.ndim == 1 and _is_whole(y):
        raise ValueError(
            "y_train holds whole numbers written as fractions: "
            f"if they are classes, {_said('classification')}; if they are quantities, {_said('regression')}"
        )
    return "regression"


def _classes(given: dict[str, NDArray[np.generic]]) -> Labels:
    for name, y in given.items():
        if y.ndim > 1:
            quantities = "" if y.dtype.kind == "U" else f"; if they are quantities, {_said('regression')}"
            raise ValueError(
                f"{name} has {y.shape[1]} labels an example: one is wanted, as a number, a string or a one-hot row"
                f"{quantities}"
            )
        if y.dtype.kind == "f" and not _is_whole(y):
            raise ValueError(f"{name} holds fractions, which are no classes: {_said('regression')}")
        if y.dtype.kind == "f":
            given = {**given, name: y.astype(np.int64)}
    kinds = {name: y.dtype.kind == "U" for name, y in given.items()}
    if len(set(kinds.values())) > 1:
        raise ValueError("of y_train and y_test one holds strings and the other numbers: both must name classes alike")
    names, train = np.unique(given["y_train"], return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"every example in y_train is of one class, {names[0]}: there is nothing to tell apart")
    if len(names) > _MOST_CLASSES * len(train):
        raise ValueError(
            f"y_train has {len(names)} classes among {len(train)} examples: if they are quantities, "
            f"{_said('regression')}"
        )
    test = None
    if "y_test" in given:
        unknown = np.setdiff1d(given["y_test"], names)
        if len(unknown):
            told = f"y_test has classes that y_train has not: {_few(unknown.tolist())}"
            raise UnmetClassError(str(unknown.tolist()[0]), told)
        test = np.searchsorted(names, given["y_test"]).astype(np.int64)
    return Labels(train.astype(np.int64), test, tuple(str(name) for name in names.tolist()))


def _quantities(given: dict[str, NDArray[np.generic]]) -> Labels:
    for name, y in given.items():
        if y.dtype.kind == "U":
            raise ValueError(f"{name} holds strings, which are no quantities")
    found = [y.reshape(len(y), -1) for y in given.values()]
    if len({y.shape[1] for y in found}) > 1:
        raise ValueError(f"y_train has {found[0].shape[1]} quantities an example, y_test {found[1].shape[1]}")
    if (found[0] == found[0][0]).all():
        raise ValueError("y_train never changes: there is nothing to predict")
    return Labels(found[0], found[1] if len(found) > 1 else None, ())


def _said(kind: Kind) -> str:
    """How a user says what labels are, on the command line and in a recipe."""
    return f'say --task {kind}, or in a recipe task = "{kind}"'


def _is_whole(y: NDArray[Any]) -> bool:
    return bool((y == np.round(y)).all())


def _few(things: Sequence[object], most: int = 5) -> str:
    """The first few of many."""
    told = ", ".join(str(one) for one in things[:most])
    return told + (f" and {len(things) - most} more" if len(things) > most else "")
