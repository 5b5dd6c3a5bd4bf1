"""A recipe for data alone: how large a search on them may be so that it ends in time.

A training step is timed, and from there everything is chosen as plain numbers, so that the recipe that comes out does
the same on any machine and when it is resumed, only not always in the same time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from evaluators.training.data import Data
from evaluators.training.evaluator import sizes_of
from evaluators.training.labels import Kind
from evaluators.training.training import batch_size
from evo.experiment.care import BATCH, CARES, MOST_CANDIDATES, Care, values_of
from evo.experiment.pace import seconds_per_epoch
from evo.experiment.plan import dense_phases, plan
from evo.own_data import FEWEST_EXAMPLES
from evo.recipe import overridden, validate
from evo.settings import Settings

SHARE = 0.7
"""Of the time, what the plan may take: workers that share a machine are slower than one alone."""
OVERHEAD = 30.0
"""Seconds for starting workers and filing the results."""
_DENSE_SHARE = 0.1
"""Of the time, what a row of dense layers may take; where it would take more there is none."""
_FEW_TESTS = 1000
"""Test examples below which cross-validation takes the place of the test part."""
_FOLDS = 5
_STEPS = 2500
"""Training steps that the claimed number of epochs should have on small data, where epochs are short."""
_FEWEST_EXAMPLES = 500


@dataclass(frozen=True)
class Wanted:
    """What a person says of a search without a recipe.

    ``density`` is the share of the hidden layers' weights that are trainable, ``epochs`` how long the rows of the final
    table are trained, ``minutes`` when all should have ended, ``task`` what y is where the data do not tell.
    """

    data: str
    hidden: tuple[int, ...]
    density: float = 0.1
    minutes: float = 15.0
    epochs: int | None = None
    examples: int | None = None
    task: Kind | None = None

    def __post_init__(self) -> None:
        check_density(self.density)
        if self.epochs is not None and self.epochs < 2:
            raise ValueError(f"--epochs {self.epochs}: at least 2, for ranks after a single one mean nothing")
        if self.examples is not None and self.examples < FEWEST_EXAMPLES:
            raise ValueError(f"--examples {self.examples}: at least {FEWEST_EXAMPLES}")
        if not self.time > 0:
            raise ValueError(f"--minutes {self.minutes:g}: at least {1.1 * OVERHEAD / SHARE / 60:.1f} are needed")

    @property
    def time(self) -> float:
        """Seconds that the plan may take."""
        return SHARE * 60 * self.minutes - OVERHEAD


@dataclass(frozen=True)
class MadeRecipe:
    """A recipe's plain values with its settings, the time that was measured and is expected, and whether a row of dense
    layers was left out because it would take long.
    """

    values: Mapping[str, Any]
    settings: Settings
    seconds_per_epoch: float
    expected_minutes: float
    is_dense_slow: bool


def check_density(density: float) -> None:
    """Raise ValueError for what is no share of the weights."""
    if not 0 < density <= 1:
        raise ValueError(f"--density {density:g}: the share of the weights that are trainable, above 0 and at most 1")


def chosen(wanted: Wanted, workers: int, overrides: Iterable[str] = ()) -> MadeRecipe:
    """The recipe of a search that ends in time on so many workers as fast as this machine is now.

    The most careful search is taken that leaves half of the time to evolution and random search, with as many
    candidates as fill it. Where not even the cheapest fits, epochs are fewer, and then examples. Dense layers have no
    row where they would take much of the time.

    Raises
    ------
    ValueError
        In one line, for data that cannot be used, or options that do not fit them.
    """
    overrides = tuple(overrides)
    asked = overridden({"training": {"task": wanted.task, "examples": wanted.examples}}, overrides)["training"]
    if isinstance(asked["examples"], int):  # what is no number is refused with the recipe
        wanted = replace(wanted, examples=asked["examples"])
    data = Data.read(wanted.data, asked["task"], wanted.examples)
    made = _base(wanted, data)
    base = overridden(made, overrides)
    seconds = seconds_per_epoch(_valid(base, wanted, made["budget"]))

    def fitting() -> dict[str, Any] | None:
        return next(_fitting(base, _epochs(wanted, data), seconds, wanted.time, workers, overrides), None)

    found = fitting()
    is_asked = "dense" in base["training"]
    is_dense_slow = not is_asked and (found is None or _dense_share(found, workers) > _DENSE_SHARE)
    if is_dense_slow:
        base = base | {"training": base["training"] | {"dense": False}}
        found = fitting()
    if found is None:
        found = _with_fewer_examples(wanted, data, base, seconds, workers, overrides)
    settings = _valid(found, wanted, made["budget"])
    epoch = _scaled(seconds, data, settings)
    length = sum(phase.length(workers) for phase in plan(settings)) * epoch
    return MadeRecipe(found, settings, epoch, (length / SHARE + OVERHEAD) / 60, is_dense_slow)


def plain_recipe(wanted: Wanted) -> tuple[Mapping[str, Any], Settings]:
    """The values of a recipe for data that says what is wanted and leaves all else to defaults, and its settings.

    Raises
    ------
    ValueError
        In one line, for data that cannot be used, or options that do not fit them.
    """
    values = _base(wanted, Data.read(wanted.data, wanted.task, wanted.examples))
    return values, _valid(values, wanted, values["budget"])


def budget_of(density: float, sizes: Sequence[tuple[int, int]]) -> int:
    """The trainable edges, of all places together, that a density of the dense layers makes."""
    return round(density * sum(n_in * n_out for n_in, n_out in sizes))


def _base(wanted: Wanted, data: Data) -> dict[str, Any]:
    training: dict[str, Any] = {"data": wanted.data, "hidden": list(wanted.hidden)}
    if wanted.task is not None:
        training["task"] = wanted.task
    if wanted.examples is not None:
        training["examples"] = wanted.examples
    if len(data.test) < _FEW_TESTS:
        training["folds"] = _FOLDS
    sizes = sizes_of(data.inputs, wanted.hidden)
    return {
        "name": re.sub(r"[^A-Za-z0-9_-]+", "-", Path(wanted.data).stem).strip("-_") or "data",
        "seed": 1,
        "budget": budget_of(wanted.density, sizes),
        "training": training,
    }


def _valid(values: dict[str, Any], wanted: Wanted, budget: int) -> Settings:
    """The settings; of a bad budget that the density made, the message says so."""
    try:
        return validate(values)
    except ValueError as error:
        is_made = str(error).startswith("budget") and values["budget"] == budget
        raise ValueError(f"--density {wanted.density:g} makes {error}" if is_made else str(error)) from None


def _epochs(wanted: Wanted, data: Data) -> list[tuple[int, int]]:
    """Epochs of finalists and of candidates, from long to short; those that were asked for, and nothing else."""
    if wanted.epochs is not None:
        return [(wanted.epochs, max(2, wanted.epochs // 4))]
    steps = max(1, len(data.train) // batch_size(len(data.train)))
    most = min(40, max(16, round(_STEPS / steps)))
    return [(epochs, max(2, epochs // 4)) for epochs in dict.fromkeys((most, 16, 8, 4))]


def _fitting(
    base: dict[str, Any],
    epochs: Sequence[tuple[int, int]],
    seconds: float,
    time: float,
    workers: int,
    overrides: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """Recipes that end in time, the longest trainings and then the most careful first, filled with candidates."""
    for long, short in epochs:
        for care in CARES if (long, short) == epochs[-1] else CARES[:-1]:

            def length(candidates: int, care: Care = care, long: int = long, short: int = short) -> float:
                values = values_of(base, care, long, short, candidates, workers, overrides)
                return seconds * sum(phase.length(workers) for phase in plan(validate(values)))

            without, least = length(0), length(BATCH)
            if least > time or (care is not CARES[-1] and without > time / 2):
                continue
            candidates = BATCH
            while candidates < MOST_CANDIDATES and length(candidates + BATCH) <= time:
                candidates += BATCH
            yield values_of(base, care, long, short, candidates, workers, overrides)


def _with_fewer_examples(
    wanted: Wanted,
    data: Data,
    base: dict[str, Any],
    seconds: float,
    workers: int,
    overrides: Sequence[str],
) -> dict[str, Any]:
    """The cheapest recipe, on as many examples as fit; where few of them are left for tests, and there is time, with
    cross-validation.
    """
    long, short = _epochs(wanted, data)[-1]
    whole = len(data.train) + len(data.search) + len(data.validation)
    fewest = min(_FEWEST_EXAMPLES, whole)

    def cut(base: dict[str, Any]) -> tuple[float, dict[str, Any], int]:
        """How long the recipe takes on all examples, the recipe on those that fit, and how many they are."""
        values = values_of(base, CARES[-1], long, short, BATCH, workers, overrides)
        length = seconds * sum(phase.length(workers) for phase in plan(validate(values)))
        examples = int(whole * wanted.time / length) // 100 * 100
        return length, values | {"training": values["training"] | {"examples": examples}}, examples

    length, found, examples = cut(base)
    if examples < fewest:
        needed = (length * fewest / whole + OVERHEAD) / SHARE / 60
        raise ValueError(
            f"--minutes {wanted.minutes:g}: a training step of this model takes so long that at least {ceil(needed)} "
            "minutes are needed; take narrower layers, or fewer epochs"
        )
    training = base["training"]
    if "folds" in training or len(Data.read(wanted.data, training.get("task"), examples).test) >= _FEW_TESTS:
        return found
    _, folded, examples = cut(base | {"training": training | {"folds": _FOLDS}})
    return folded if examples >= fewest else found


def _dense_share(values: dict[str, Any], workers: int) -> float:
    """The share of a recipe's time that its row of dense layers takes."""
    settings = validate(values)
    dense, whole = (sum(phase.length(workers) for phase in some(settings)) for some in (dense_phases, plan))
    return dense / whole


def _scaled(seconds: float, data: Data, settings: Settings) -> float:
    """The seconds of an epoch, where a recipe takes fewer examples than were timed."""
    examples = settings.training.examples if settings.training else None
    whole = len(data.train) + len(data.search) + len(data.validation)
    return seconds if examples is None else seconds * min(1.0, examples / whole)
