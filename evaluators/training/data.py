"""A user's data: read, checked, and split into parts that never mix.

Examples are shuffled by a fixed key before anything is split off, for data are often sorted by class
(:mod:`evaluators.training.parts`). A part is read only by the :class:`evaluators.task.Split` of its name. Inputs, and
quantities to be predicted, are standardised by the training part alone.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluators.task import Split
from evaluators.training.arrays import check_shapes, inputs, moments, origin, taken
from evaluators.training.files import arrays_of, stamp
from evaluators.training.labels import Kind, UnmetClassError, check_classes_are_met, labels
from evaluators.training.parts import Places, drawn, parts_of
from topologies.entries import as_array

_FAR = 8.0
"""Standard deviations at which inputs are cut off: a pixel that is lit in one image of thousands would be at hundreds.
"""


@dataclass(frozen=True)
class Part:
    """Examples: ``x`` is float32 of shape ``(examples, inputs)``, ``y`` as :class:`evaluators.training.labels.Labels`
    has it.
    """

    x: NDArray[np.float32]
    y: NDArray[Any]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Data:
    """Data in four parts; made by :meth:`of` from arrays and by :meth:`read` from a file.

    Parameters
    ----------
    train:
        What models are trained on.
    search, validation, test:
        What the splits of these names are scored on; :meth:`part` gives them.
    classes:
        Names of the classes, in the order of their numbers; empty for regression.
    fingerprint:
        SHA-256 of all arrays as they were given, or of the examples that were drawn from them and of how many.
    """

    train: Part
    search: Part
    validation: Part
    test: Part
    classes: tuple[str, ...]
    fingerprint: str

    @property
    def inputs(self) -> int:
        """Inputs of an example."""
        return int(self.train.x.shape[1])

    @property
    def outputs(self) -> int:
        """Outputs that a model needs: one a class, or one a quantity."""
        return len(self.classes) or int(self.train.y.shape[1])

    def part(self, split: Split) -> Part:
        """The examples that a split is scored on."""
        return {Split.SEARCH: self.search, Split.VALIDATION: self.validation, Split.TEST: self.test}[split]

    @property
    def task(self) -> Kind:
        """What y is."""
        return "classification" if self.classes else "regression"

    def __str__(self) -> str:
        return self.about()

    def about(self, folds: int | None = None) -> str:
        """In words: sizes, and what each part is for where the test part is tested on, or so many folds are."""
        quantities = f"{self.outputs} quantities" if self.outputs > 1 else "a quantity"
        what = f"{len(self.classes)} classes" if self.classes else quantities
        chosen_by = f"{len(self.search)} for search, {len(self.validation)} for validation"
        tested, repeated, where = (
            f", {len(self.test)} for test",
            self.repeated,
            "test examples are also in another part",
        )
        if folds is not None:
            tested = f"; {folds} folds test those to train on and {len(self.test)} more, each once"
            repeated, where = self.repeated_in_folds, "tested examples are there more than once"
        still = int((self.train.x == 0).all(axis=0).sum())
        unchanging = f"; {still} inputs never change" if still else ""
        again = f"; {repeated} {where}" if repeated else ""
        sizes = f"{len(self.train)} examples to train on, {chosen_by}{tested}"
        return f"{self.inputs} inputs, {what}; {sizes}{unchanging}{again}"

    @cached_property
    def repeated(self) -> int:
        """Test examples whose inputs equal those of an example of another part, so that their errors prove less."""
        others = set(_keys(self.train, self.search, self.validation))
        return sum(key in others for key in _keys(self.test))

    @cached_property
    def repeated_in_folds(self) -> int:
        """Examples that folds test whose inputs equal those of any other, which may be trained on meanwhile."""
        tested = _keys(self.train, self.test)
        counts = Counter(tested + _keys(self.search, self.validation))
        return sum(counts[key] > 1 for key in tested)

    @staticmethod
    def read(name: str, kind: Kind | None = None, examples: int | None = None) -> Data:
        """Data from an ``.npz`` file with ``x_train``, ``y_train`` and perhaps ``x_test``, ``y_test``; or "digits".

        Parameters
        ----------
        name:
            Path of the file, or ``"digits"`` for the 1,797 handwritten digits of 8 x 8 that come with scikit-learn.
        kind, examples:
            As for :meth:`of`.

        Raises
        ------
        ValueError
            In one line, for what cannot be read, is larger than this machine's memory, or :meth:`of` refuses.
        """
        return _read(name, kind, examples, stamp(name))

    @staticmethod
    def of(
        x_train: ArrayLike,
        y_train: ArrayLike,
        x_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
        kind: Kind | None = None,
        examples: int | None = None,
    ) -> Data:
        """Data from arrays.

        Parameters
        ----------
        x_train, x_test:
            One row, image or other array an example: whatever its shape, it is flattened.
        y_train, y_test:
            Labels or quantities, see :mod:`evaluators.training.labels`. Without a test part a fifth is split off.
        kind:
            Classification or regression, where the arrays alone do not tell.
        examples:
            At most so many of x_train, and as many of x_test, are taken, at random from each part of all data; by
            default all.

        Raises
        ------
        ValueError
            In one line, for arrays that do not fit together, that hold NaN, or from which nothing can be learned.
        """
        given = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
        arrays = {name: as_array(array) for name, array in given.items() if array is not None}
        if len(arrays) == 3:
            alone = next(name for name in arrays if name.endswith("_test"))
            raise ValueError(f"there is {alone} but no {'y' if alone[0] == 'x' else 'x'}_test")
        check_shapes(arrays)
        there = len(arrays["x_train"])
        parts = parts_of(there, len(arrays["x_test"]) if "x_test" in arrays else None, examples)
        some, places = drawn(arrays, parts)
        try:
            return _taken(some, places, kind, there)
        except UnmetClassError as error:
            count = len(some["x_train"])
            if count < there and error.name in labels(arrays["y_train"], None, kind).classes:
                raise ValueError(
                    f"{count} of {there} examples are taken, and class {error.name} is not among those trained on: "
                    "take more, with --examples or --minutes"
                ) from None
            raise


def _taken(arrays: Mapping[str, NDArray[Any]], places: Places, kind: Kind | None, drawn_from: int) -> Data:
    """Data of arrays whose shapes fit together, and whose examples were drawn from so many."""
    x = {name: inputs(array, name) for name, array in arrays.items() if name[0] == "x"}
    found = labels(arrays["y_train"], arrays.get("y_test"), kind)
    parts = {name: (x["x_train"], found.train, at) for name, at in places.items()}
    if "x_test" in x:
        assert found.test is not None
        parts["test"] = (x["x_test"], found.test, places["test"])
    if found.classes:
        y = arrays["y_train"]
        are_numbers = kind is None and y.dtype.kind in "iu" and y.size == len(y)
        check_classes_are_met(found.classes, found.train[places["train"]], are_numbers)
    first = places["train"][0]
    from_x = origin(x["x_train"], first)
    from_y = None if found.classes else origin(found.train, first)
    chosen = {
        name: (
            taken(of_x, at, "inputs", from_x),
            of_y[at] if found.classes else taken(of_y, at, "quantities", from_y),
        )
        for name, (of_x, of_y, at) in parts.items()
    }
    return Data(**_standardised(chosen), classes=found.classes, fingerprint=_fingerprint(arrays, drawn_from))


@lru_cache(maxsize=1)
def _read(name: str, kind: Kind | None, examples: int | None, stamp: tuple[int, ...]) -> Data:
    """Data from a file as it is now, which ``stamp`` tells; a recipe and its evaluator read the same, once."""
    arrays = arrays_of(name, examples)
    try:
        return Data.of(**arrays, kind=kind, examples=examples)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _standardised(parts: Mapping[str, tuple[NDArray[np.float32], NDArray[Any]]]) -> dict[str, Part]:
    """Parts whose inputs, and quantities, have mean 0 and variance 1 in the training part.

    What never changes there is 0 everywhere, and so is what changes by less than 32-bit numbers can be scaled by.
    """
    middle, scale = moments(parts["train"][0])
    if not scale.any():
        raise ValueError("no input ever changes in the training part: there is nothing to tell examples apart by")
    for x, _ in parts.values():
        x -= middle
        x *= scale
        np.clip(x, -_FAR, _FAR, out=x)
    if parts["train"][1].dtype != np.float32:
        return {name: Part(x, y) for name, (x, y) in parts.items()}
    of_y = moments(parts["train"][1])
    if not of_y[1].any():
        raise ValueError("y never changes in the training part: too few examples differ")
    return {name: Part(x, (y - of_y[0]) * of_y[1]) for name, (x, y) in parts.items()}


def _keys(*parts: Part) -> list[int]:
    """A hash of the inputs of every example; adding zero leaves zeros of one sign alone."""
    return [hash((row + 0.0).tobytes()) for part in parts for row in part.x]


def _fingerprint(arrays: Mapping[str, NDArray[Any]], drawn_from: int) -> str:
    is_whole = len(arrays["x_train"]) == drawn_from
    digest = hashlib.sha256(b"" if is_whole else f"of {drawn_from} ".encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.astype(str).tobytes() if array.dtype == object else np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]
