"""Runs to tell of: a small real search whose evaluator is a formula, and journals made from its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluators.task import Fidelity, Score, Split
from evo.settings import Settings
from evo.storage import names
from evo.storage.header import JOURNAL
from evo.storage.history import History
from evo.storage.journal import Journal
from evo.storage.records import GenerationRecord, Header, Record, ScoreRecord
from tests.fakes import recipe
from topologies.names import CHAMPION
from topologies.topology import Topology


class Formula:
    """Scores that follow from the digest; about one in sixteen candidates fails on the search's targets."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        if split is Split.SEARCH and topology.digest.startswith("7"):
            raise RuntimeError("the formula does not know this topology")
        base = 0.1 + 0.1 * int(topology.digest[:6], 16) / 16**6
        key = np.random.default_rng([seed, len(split), int(topology.digest[:8], 16)])
        noise = key.normal(0, 0.01, 64)[: fidelity.targets]
        return Score(tuple(float(error) for error in base + noise), fidelity.rates[-1])


def small(runs: Path, **changes: Any) -> Settings:
    """The recipe of the small search."""
    fidelity = {"targets": 3, "validation_targets": 4, "test_targets": 12}
    shape = {"loop": {"generations": 8}, "tuning": {"trials": 5}, "fidelity": fidelity}
    return recipe(name="small", runs=str(runs), **{**shape, **changes})


def rewritten(history: History, folder: Path, records: Sequence[Record] | None = None) -> History:
    """A folder with the champion of ``history`` and a journal of other records, and what it says."""
    folder.mkdir(parents=True)
    header, *rest = history.records if records is None else records
    assert isinstance(header, Header)
    with Journal(folder / JOURNAL, header) as journal:
        journal.append(rest)
    (folder / CHAMPION).write_bytes(history.champion_file.read_bytes())
    return History.of(folder)


def with_errors(history: History, errors: Mapping[str, Sequence[float]]) -> History:
    """The history with these errors for all that was scored in some phases, and everything that follows from them."""

    def changed(record: Record) -> Record:
        if isinstance(record, ScoreRecord) and record.score and record.phase in errors:
            values = tuple(map(float, errors[record.phase]))
            return record.model_copy(update={"score": replace(record.score, errors=values)})
        return record

    return History(history.folder, tuple(changed(record) for record in history.records))


def with_test_errors(history: History, errors: Mapping[str, Sequence[float]]) -> History:
    """The history with other test errors for some rows of the table, and the table that follows from them."""
    return with_errors(history, {names.test(row): values for row, values in errors.items()})


def with_baseline(history: History, error: float | None) -> History:
    """The history of a search whose baseline has this error on the search targets; None if it could not be scored."""
    records = (
        record.model_copy(update={"baseline": error}) if isinstance(record, GenerationRecord) else record
        for record in history.records
    )
    if error is None:
        return History(history.folder, tuple(records))
    return with_errors(History(history.folder, tuple(records)), {names.tuning(names.PARALLEL_BUTTERFLY): [error] * 3})


def by_mine(history: History, factor: float = 10.0) -> History:
    """The history by another evaluator, ``mine:Mine``: it gives one error for all targets, ``factor`` times as much."""

    def changed(record: Record) -> Record:
        match record:
            case Header():
                return record.model_copy(update={"evaluator": "mine:Mine"})
            case ScoreRecord() if record.score:
                score = replace(record.score, errors=(factor * record.score.error,) * len(record.score.errors))
                return record.model_copy(update={"score": score})
            case GenerationRecord():
                values = {"best": record.best, "baseline": record.baseline}
                scaled = {name: None if value is None else factor * value for name, value in values.items()}
                return record.model_copy(update=scaled)
            case _:
                return record

    return History(history.folder, tuple(changed(record) for record in history.records))
