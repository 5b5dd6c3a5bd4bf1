"""What a study of a figure found: a function of its journal alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.example_errors import unpack
from evaluators.task import Score
from evo.recipe import validate_as
from evo.storage.estimates import paired
from evo.storage.history import History
from evo.storage.records import ScoreRecord
from evo.storage.results import Interval, error_interval
from evo.studies.figures.settings import FigureSettings, Value
from evo.studies.figures.study import TEST, Cell, cells


@dataclass(frozen=True)
class Point:
    """One point of the figure.

    ``parameters`` are those of the layers at the network's places, or trainable edges; heads, biases and convolutions
    are the same in all series and are not counted. ``error`` is None where the evaluation failed. ``apart`` is the
    difference from the same point with its edges shuffled, paired over targets, or over seeds and test examples.
    """

    series: str
    layer: str
    value: Value
    parameters: int
    edges: int
    depth: int
    error: Interval | None
    errors: tuple[float, ...]
    apart: Interval | None
    learning_rate: float | None
    weight_decay: float | None
    seconds: float
    failure: str | None
    time: float


def settings_of(history: History) -> FigureSettings:
    """The recipe of a study."""
    return validate_as(FigureSettings, dict(history.settings))


def points(history: History) -> tuple[Point, ...]:
    """The points that are known, in the order of the recipe."""
    known, seconds = _known(history), _seconds(history)
    pairs = _pairs(settings_of(history), known)
    return tuple(
        _point(cell, known[cell.number], seconds, _apart([pairs[cell.number]]) if cell.number in pairs else None)
        for cell in cells(settings_of(history))
        if cell.number in known
    )


def beside_controls(history: History) -> dict[str, Interval]:
    """By series, the mean difference of all its points from the same with their edges shuffled, paired point by point.

    A point at another value has a wiring of its own, so that the interval is over points wherever there are several.
    """
    settings = settings_of(history)
    pairs = _pairs(settings, _known(history))
    found: dict[str, list[tuple[Score, Score]]] = {}
    for cell in cells(settings):
        if cell.number in pairs:
            found.setdefault(cell.series.name, []).append(pairs[cell.number])
    return {name: _apart(of_series) for name, of_series in found.items()}


def _known(history: History) -> dict[int, ScoreRecord]:
    return {one.number: one for one in history.scores(TEST)}


def _pairs(settings: FigureSettings, known: Mapping[int, ScoreRecord]) -> dict[int, tuple[Score, Score]]:
    """By number of a cell, its score and that of the same with its edges shuffled, where both are known."""
    wanted = cells(settings)
    scores = {(one.series.name, one.value): known[one.number].score for one in wanted if one.number in known}
    found = {}
    for cell in wanted:
        control = settings.control_of(cell.series)
        mine = scores.get((cell.series.name, cell.value))
        other = scores.get((control.name, cell.value)) if control else None
        if mine is not None and other is not None:
            found[cell.number] = (mine, other)
    return found


def _apart(pairs: Sequence[tuple[Score, Score]]) -> Interval:
    """The mean difference (first - second) of paired scores: of one pair over its targets, of several over them."""
    mine, other = pairs[0][0].errors, pairs[0][1].errors
    if len(pairs) > 1:
        mine, other = (tuple(pair[place].error for pair in pairs) for place in (0, 1))
    examples = None
    if all(one.example_errors is not None for pair in pairs for one in pair):
        of_examples = [_examples(one) - _examples(another) for one, another in pairs]
        examples = of_examples[0] if len(pairs) == 1 else np.stack([one.mean(axis=0) for one in of_examples])
    return Interval.of(paired(mine, other, examples))


def _examples(score: Score) -> NDArray[np.float64]:
    assert score.example_errors is not None
    return unpack(score.example_errors)


def _point(cell: Cell, record: ScoreRecord, seconds: Mapping[int, float], apart: Interval | None) -> Point:
    score = record.score
    return Point(
        series=cell.series.name,
        layer=cell.series.layer,
        value=cell.value,
        parameters=_parameters(cell, record),
        edges=record.n_edges,
        depth=record.depth,
        error=error_interval(score) if score else None,
        errors=score.errors if score else (),
        apart=apart,
        learning_rate=score.learning_rate if score else None,
        weight_decay=score.weight_decay if score else None,
        seconds=seconds[cell.number],
        failure=record.failure,
        time=record.time,
    )


def _parameters(cell: Cell, record: ScoreRecord) -> int:
    """Trainable edges, or of layers of another kind what those have instead."""
    if cell.series.layer == "cascade":
        return record.n_trainable
    from evaluators.training.layers import parameters_of

    return sum(parameters_of(cell.series.layer, place) for place in record.topology.places)


def _seconds(history: History) -> dict[int, float]:
    """Seconds that each point took, all phases together."""
    found: dict[int, float] = {}
    for record in history.records:
        if isinstance(record, ScoreRecord):
            found[record.number] = found.get(record.number, 0.0) + record.seconds
    return found
