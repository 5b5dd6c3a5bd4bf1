"""What a study of a figure found: a function of its journal alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evo.recipe import validate_as
from evo.storage.history import History
from evo.storage.records import ScoreRecord
from evo.storage.results import Interval, error_interval
from evo.studies.figures.settings import FigureSettings, Value
from evo.studies.figures.study import TEST, Cell, cells
from topologies.stack import Stack


@dataclass(frozen=True)
class Point:
    """One point of the figure.

    ``parameters`` are those of the layers at the network's places, or trainable edges; heads, biases and convolutions
    are the same in all series and are not counted. ``error`` is None where the evaluation failed.
    """

    series: str
    layer: str
    value: Value
    parameters: int
    edges: int
    depth: int
    error: Interval | None
    errors: tuple[float, ...]
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
    known = {one.number: one for one in history.scores(TEST)}
    seconds = _seconds(history)
    found = (cell for cell in cells(settings_of(history)) if cell.number in known)
    return tuple(_point(cell, known[cell.number], seconds) for cell in found)


def _point(cell: Cell, record: ScoreRecord, seconds: Mapping[int, float]) -> Point:
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

    topology = record.topology
    places = topology.places if isinstance(topology, Stack) else (topology,)
    return sum(parameters_of(cell.series.layer, place) for place in places)


def _seconds(history: History) -> dict[int, float]:
    """Seconds that each point took, all phases together."""
    found: dict[int, float] = {}
    for record in history.records:
        if isinstance(record, ScoreRecord):
            found[record.number] = found.get(record.number, 0.0) + record.seconds
    return found
