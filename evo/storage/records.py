"""The records of a journal, one class a kind, and what a watcher is shown besides.

This is the only place that knows how a record is written: :func:`to_text` and :func:`from_text` are each other's
inverse. Floats come back with all their bits.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from evaluators.task import Fidelity, Race, Score, Split
from evo.storage.results import Interval
from topologies.packing import from_text as topology_from_text
from topologies.stack import AnyTopology

Plain = dict[str, Any]
"""Values as JSON has them."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    time: float = Field(default_factory=time.time)
    """When it was made, in seconds since the epoch."""


class Program(BaseModel):
    """What decides, besides the recipe, what is computed: a small evaluation to the last bit, and versions."""

    model_config = ConfigDict(frozen=True)

    canary: str
    packages: dict[str, str]


class Header(_Record):
    """The first record of a journal: the recipe, and the program that began the run."""

    kind: Literal["header"] = "header"
    version: int
    settings: Plain
    """The settings that decide the outcome."""
    cluster: Plain
    tracking: Plain
    reuse_from: list[str]
    evaluator: str
    """The evaluator's name in the recipe, or of its class where it was given from Python."""
    from_python: bool
    """Whether the evaluator was given from Python, so that its name alone does not make it again."""
    backend: str
    machine: str
    python: str
    program: Program
    given: dict[str, str]
    """The topologies that the recipe names, as they were when the run began, packed as text."""


@dataclass(frozen=True)
class Origin:
    """What is remembered of a topology that is scored: a label, and for candidates how they came to be."""

    label: str = ""
    family: str = ""
    generation: int | None = None
    parents: tuple[int, ...] = ()
    operator: str = ""


class ScoreRecord(_Record):
    """The answer to one request. ``phase`` and ``number`` name it within its run."""

    kind: Literal["score"] = "score"
    phase: str
    number: int
    digest: str
    n_trainable: int
    n_edges: int
    depth: int
    origin: Origin
    split: Split
    fidelity: Fidelity
    race: Race | None = None
    score: Score | None
    entry: Score | None = None
    """The score with which a race was entered, where the candidate was promoted."""
    failure: str | None
    measures: dict[str, float] = {}
    wanted: tuple[str, ...] = ()
    """Proxies that were asked for."""
    variant: str = ""
    """What was made of the topology, where the evaluator makes several kinds of models."""
    seconds: float
    device: str
    packed: str
    """The topology, packed as text."""

    @property
    def error(self) -> float:
        """Mean error, infinite for a failure."""
        return float("inf") if self.score is None else self.score.error

    @cached_property
    def topology(self) -> AnyTopology:
        """The topology that was scored, in canonical form."""
        return topology_from_text(self.packed)


class GenerationRecord(_Record):
    """How a search stood after one generation was processed."""

    kind: Literal["generation"] = "generation"
    phase: str
    number: int
    candidates: int
    """Candidates processed so far."""
    best: float | None
    """The least error within the champion's limits, None as long as there is none."""
    baseline: float | None
    """The baseline's error as candidates are scored, None if that failed."""
    hypervolume: float


class RowRecord(BaseModel):
    """A row of the final table without its errors, which are in the row's score."""

    model_config = ConfigDict(frozen=True)

    name: str
    label: str
    digest: str
    n_trainable: int
    n_edges: int
    depth: int
    learning_rate: float | None
    weight_decay: float | None = None
    error: Interval
    difference: Interval | None
    search_error: float | None = None
    """By the evaluator that candidates were searched by, where that is another one."""


class TableRecord(_Record):
    """The final table of a search: the champion's row first."""

    kind: Literal["table"] = "table"
    rows: tuple[RowRecord, ...]
    baseline: str
    """The name of the baseline's row."""
    digest: str
    """The result digest."""
    champion: str
    """The name of the champion's file."""


class ProxyRecord(_Record):
    """One proxy of all topologies of one arm of a study."""

    kind: Literal["proxy"] = "proxy"
    phase: str
    number: int
    arm: str
    budget: int
    proxy: str
    values: tuple[float | None, ...]
    """None stands for what is infinite or no number."""
    ms: float


class RuleRecord(_Record):
    """A rule that was bred, and how it did at the sizes and budgets it was tried at."""

    kind: Literal["rule"] = "rule"
    phase: str
    number: int
    generation: int
    parents: tuple[int, ...]
    operator: str
    law: dict[str, float]
    wiring: str
    ratios: tuple[float, ...]
    """Logarithms of the odds of its error over those of the baseline's, size by size until it was stopped."""
    fitness: float | None
    """Their mean, None of a rule that was stopped."""


class ExtendedRecord(_Record):
    """The search goes on to more generations than it was begun with."""

    kind: Literal["extended"] = "extended"
    generations: int


class ForkRecord(_Record):
    """The journal is a copy of another run's, and goes on with another program."""

    kind: Literal["fork"] = "fork"
    of: str
    program: Program


EndStatus = Literal["FINISHED", "KILLED", "FAILED"]


class EndRecord(_Record):
    """How a process left the run."""

    kind: Literal["end"] = "end"
    status: EndStatus
    why: str = ""


Record = (
    Header
    | ScoreRecord
    | GenerationRecord
    | TableRecord
    | ProxyRecord
    | RuleRecord
    | ExtendedRecord
    | ForkRecord
    | EndRecord
)
"""A record of any kind."""

Note = GenerationRecord | TableRecord | ProxyRecord | RuleRecord
"""A record that follows from the scores before it, and is written once."""


@dataclass(frozen=True)
class RunOpened:
    """A run begins or goes on: its header, its folder, and how many workers it has."""

    header: Header
    folder: Path
    workers: int


@dataclass(frozen=True)
class PhaseStarted:
    """A phase begins; ``count`` is how many answers it waits for, where that is known."""

    phase: str
    count: int | None = None


RunEvent = Record | RunOpened | PhaseStarted
"""What a watcher is shown."""


_records: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="kind")])


def to_text(record: Record) -> str:
    """A record as one line of JSON."""
    return json.dumps(record.model_dump(exclude_defaults=False), separators=(",", ":"), allow_nan=False)


def from_text(text: str) -> Record:
    """The record that :func:`to_text` wrote.

    Raises
    ------
    ValueError
        For anything else.
    """
    return _records.validate_python(json.loads(text))


def key_of_note(note: Note) -> tuple[str, str, int]:
    """What a note is about: there is one a run."""
    return ("table", "", 0) if isinstance(note, TableRecord) else (note.kind, note.phase, note.number)


def with_generations(settings: Mapping[str, Any], generations: int) -> Plain:
    """A search's settings with another number of generations; a study's as they are."""
    if "loop" not in settings:
        return dict(settings)
    return {**settings, "loop": {**settings["loop"], "generations": generations}}
