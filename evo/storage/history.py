"""A run's journal, sorted out for whoever tells of it: in figures, in words, or to MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evo.algorithm.individual import INITIAL
from evo.algorithm.nsga2 import Policy
from evo.stages import search_name
from evo.storage import names
from evo.storage.champion import rows_kept
from evo.storage.header import JOURNAL, current, header_of, records_of, settings_of
from evo.storage.journal import in_use
from evo.storage.names import BASELINES, GIVEN_BASELINE, PARALLEL_BUTTERFLY, ROWS
from evo.storage.records import EndRecord, GenerationRecord, Header, Plain, Record, ScoreRecord, TableRecord
from evo.storage.results import Finalist, FinalTable, final_table
from topologies.names import CHAMPION
from topologies.stack import Sizes, size_text


@dataclass(frozen=True)
class History:
    """Everything that a journal says of a run; ``records`` start with its header."""

    folder: Path
    records: tuple[Record, ...]

    @staticmethod
    def of(folder: Path) -> History:
        """The history of a run's folder.

        One that ended without a word, and that no process has open, was killed; one that was stopped or failed, and
        that a process has open, goes on.

        Raises
        ------
        ValueError
            When the folder has no journal, or an empty or damaged one.
        """
        records = records_of(folder)
        history = History(folder.resolve(), tuple(current(records)))
        if history.status == "FINISHED":
            return history
        is_held, last = in_use(folder / JOURNAL), history.records[-1]
        if is_held and isinstance(last, EndRecord):
            return History(history.folder, history.records[:-1])
        if not is_held and not isinstance(last, EndRecord):
            end = EndRecord(status="KILLED", why="the process died", time=records[-1].time)
            return History(history.folder, (*history.records, end))
        return history

    @property
    def header(self) -> Header:
        """Recipe, versions and time of the beginning."""
        return header_of(self.records)

    @cached_property
    def settings(self) -> Plain:
        """The recipe, as far as it decides the outcome."""
        return settings_of(self.records)

    @property
    def searched_by(self) -> str:
        """The name of the evaluator that scored candidates; the header's is that of finalists."""
        return search_name(self.settings, self.header.evaluator)

    @property
    def size(self) -> str:
        """For example "32x32", or "784-256-128" of a model with two places."""
        return size_text(self.sizes)

    @property
    def sizes(self) -> Sizes:
        """Inputs and outputs of every place of the model."""
        places = self.settings.get("places")
        found = places["sizes"] if places else [(self.settings["n_in"], self.settings["n_out"])]
        return tuple((n_in, n_out) for n_in, n_out in found)

    @property
    def baseline(self) -> str:
        """What the topology to beat is called."""
        if self.settings.get("baseline"):
            return GIVEN_BASELINE
        return f"tuned {self.table.baseline_name if self.table else BASELINES[PARALLEL_BUTTERFLY]}"

    @property
    def champion_file(self) -> Path:
        """Where the champion is, once there is one."""
        return self.folder / CHAMPION

    @cached_property
    def row_files(self) -> dict[str, Path]:
        """The files of other rows than the champion's by their names, as far as there are such.

        They are those of :func:`evo.storage.champion.rows_kept`, but for what an older version did not write.
        """
        names = rows_kept(self.table, self.founder is not None) if self.table else {}
        files = {name: self.folder / name for name in names}
        return {name: file for name, file in files.items() if file.is_file()}

    @cached_property
    def result(self) -> TableRecord | None:
        """The record of the final table, which a run that was finished has."""
        return next((record for record in self.records if isinstance(record, TableRecord)), None)

    @property
    def status(self) -> str:
        """RUNNING, FINISHED, FAILED or KILLED; a run that was continued after it ended is running."""
        last = self.records[-1]
        if self.result:
            return "FINISHED"
        return last.status if isinstance(last, EndRecord) else "RUNNING"

    @property
    def state(self) -> str:
        """The status as a person is told: running, finished, failed or stopped."""
        return "stopped" if self.status == "KILLED" else self.status.lower()

    @property
    def end(self) -> float | None:
        """When the run ended, seconds since the epoch; None while it is running."""
        if self.status == "RUNNING":
            return None
        return (self.result or self.records[-1]).time

    def scores(self, phase: str) -> Sequence[ScoreRecord]:
        """The scores of one phase, by number."""
        return self._scores.get(phase, [])

    def generations(self, policy: Policy) -> list[GenerationRecord]:
        """What was noted after every generation of a loop, by number."""
        found = (one for one in self.records if isinstance(one, GenerationRecord) and one.phase == policy.value)
        return sorted(found, key=lambda one: one.number)

    def chosen(self, row: str) -> ScoreRecord | None:
        """The score on the validation targets of the finalist that a row stands for; None until it is known.

        Baselines are known when evolution begins, the others when the table is there.
        """
        phases = [names.validation(row), *(names.beyond(row, step) for step in range(1, names.GRID_STEPS + 1))]
        ranked = self.scores(names.final_validation(row)) or [one for phase in phases for one in self.scores(phase)]
        known = self.result or (row in ROWS.values() and self.scores(Policy.EVOLUTION.value))
        return min(ranked, key=lambda one: (one.error, one.number)) if ranked and known else None

    @cached_property
    def table(self) -> FinalTable | None:
        """The final table; None until it is there."""
        if self.result is None:
            return None
        found = [(row, self.scores(names.test(row.name))[0]) for row in self.result.rows]
        finalists = [
            (row.name, Finalist(row.label, record.topology), record.score) for row, record in found if record.score
        ]
        training = self.settings.get("training")
        searched = {row.name: row.search_error for row in self.result.rows}
        table = final_table(finalists, self.result.baseline, bool(training and training.get("folds")))
        return table.with_search_errors(searched)

    @cached_property
    def champion(self) -> ScoreRecord | None:
        """The candidate that became champion; None until the table is there."""
        if self.table is None:
            return None
        digest = self.table.first.topology.digest
        return next(one for one in self.scores(Policy.EVOLUTION.value) if one.digest == digest)

    @property
    def founder(self) -> str | None:
        """The family of the champion where it is a member of the initial population; else None."""
        origin = self.champion.origin if self.champion else None
        return origin.family if origin and origin.operator == INITIAL else None

    @cached_property
    def retrained(self) -> list[tuple[ScoreRecord, ScoreRecord]]:
        """Finalists of a search on data: each one's score in the search, and as it was trained afresh."""
        searched = {one.digest: one for one in self.scores(Policy.EVOLUTION.value) if one.score}
        again = [one for one in self.scores(names.RETRAINED) if one.score]
        return [(searched[one.digest], one) for one in again]

    def lineage(self, candidate: ScoreRecord) -> list[ScoreRecord]:
        """The candidates from the initial population or a sample down to ``candidate``, by the first parents."""
        by_number = {one.number: one for one in self.scores(Policy.EVOLUTION.value)}
        line = [candidate]
        while line[-1].origin.parents:
            line.append(by_number[line[-1].origin.parents[0]])
        return line[::-1]

    @cached_property
    def _scores(self) -> dict[str, list[ScoreRecord]]:
        phases: dict[str, list[ScoreRecord]] = {}
        for record in self.records:
            if isinstance(record, ScoreRecord):
                phases.setdefault(record.phase, []).append(record)
        return {phase: sorted(found, key=lambda one: one.number) for phase, found in phases.items()}
