"""A run's journal, sorted out for whoever tells of it: in figures, in words, or to MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from evo.algorithm.nsga2 import Policy
from evo.storage.evaluations import score_of, topology_of
from evo.storage.header import JOURNAL, current, records_of, settings_of
from evo.storage.journal import Record, in_use
from evo.storage.results import BASELINE, KINDS, Row, row
from topologies.names import CHAMPION


@dataclass(frozen=True)
class History:
    """Everything that a journal says of a run; ``records`` start with its header."""

    folder: Path
    records: tuple[Record, ...]

    @staticmethod
    def of(folder: Path) -> History:
        """The history of a run's folder. A run that ended without a word, and that no process has open, was killed.

        Raises
        ------
        ValueError
            When the folder has no journal, or an empty or damaged one.
        """
        records = records_of(folder)
        history = History(folder.resolve(), tuple(current(records)))
        if history.status == "RUNNING" and not in_use(folder / JOURNAL):
            end = {"kind": "end", "status": "KILLED", "why": "the process died", "time": records[-1]["time"]}
            return History(history.folder, (*history.records, end))
        return history

    @property
    def header(self) -> Record:
        """Recipe, versions and time of the beginning."""
        return self.records[0]

    @property
    def settings(self) -> Record:
        """The recipe, as far as it decides the outcome."""
        return settings_of(self.records)

    @property
    def is_study(self) -> bool:
        """Whether the run is a study of scores (:mod:`evo.studies.proxies`), not a search."""
        return "budgets" in self.settings

    @property
    def size(self) -> str:
        """For example "32x32"."""
        return f"{self.settings['n_in']}x{self.settings['n_out']}"

    @property
    def baseline(self) -> str:
        """What the topology to beat is called."""
        return "given baseline" if self.settings.get("baseline") else f"tuned {KINDS[BASELINE]}"

    @property
    def champion_file(self) -> Path:
        """Where the champion is, once there is one."""
        return self.folder / CHAMPION

    @cached_property
    def table(self) -> Record | None:
        """The record of the final table, which a run that was finished has."""
        return next((record for record in self.records if record["kind"] == "table"), None)

    @property
    def status(self) -> str:
        """RUNNING, FINISHED, FAILED or KILLED; a run that was continued after it ended is running."""
        last = self.records[-1]
        if self.table:
            return "FINISHED"
        return str(last["status"]) if last["kind"] == "end" else "RUNNING"

    @property
    def end(self) -> float | None:
        """When the run ended, seconds since the epoch; None while it is running."""
        if self.status == "RUNNING":
            return None
        return float((self.table or self.records[-1])["time"])

    def scores(self, phase: str) -> list[Record]:
        """The scores of one phase, by number."""
        return self._scores.get(phase, [])

    def broods(self, policy: Policy) -> list[Record]:
        """What was noted after every brood of a loop, by number."""
        found = [one for one in self.records if one["kind"] == "brood" and one["phase"] == policy.value]
        return sorted(found, key=lambda one: int(one["number"]))

    def chosen(self, kind: str) -> Record | None:
        """The score on the choice stream of the finalist that a row of the table stands for; None until it is known.

        Rivals are known when evolution begins, the others when the table is there.
        """
        ranked = self.scores(f"closer choice: {kind}") or self.scores(f"choice: {kind}")
        if not ranked or not (self.table or (kind in KINDS.values() and self.scores(Policy.EVOLUTION.value))):
            return None
        return min(ranked, key=lambda one: (error(one), one["number"]))

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The final table, the champion first and the baseline second; empty until it is there."""
        if self.table is None:
            return ()
        records = [self.scores(f"held-out: {one['kind']}")[0] for one in self.table["rows"]]
        reference = score_of(records[1])
        rows = []
        for number, (told, record) in enumerate(zip(self.table["rows"], records, strict=True)):
            score = score_of(record)
            if score is not None:
                against = None if number == 1 else reference
                rows.append(row(told["kind"], told["label"], topology_of(record), score, against))
        return tuple(rows)

    @cached_property
    def champion(self) -> Record | None:
        """The birth that became champion; None until the table is there."""
        if self.table is None:
            return None
        digest = self.table["rows"][0]["digest"]
        return next(one for one in self.scores(Policy.EVOLUTION.value) if one["digest"] == digest)

    def lineage(self, birth: Record) -> list[Record]:
        """The births from a founder or a sample down to ``birth``, by the first parents."""
        by_number = {one["number"]: one for one in self.scores(Policy.EVOLUTION.value)}
        line = [birth]
        while line[-1]["parents"]:
            line.append(by_number[line[-1]["parents"][0]])
        return line[::-1]

    @cached_property
    def _scores(self) -> dict[str, list[Record]]:
        phases: dict[str, list[Record]] = {}
        for record in self.records:
            if record["kind"] == "score":
                phases.setdefault(record["phase"], []).append(record)
        return {phase: sorted(found, key=lambda one: int(one["number"])) for phase, found in phases.items()}


def error(record: Record) -> float:
    """Mean error of a score record, infinite for a failure."""
    score = score_of(record)
    return float("inf") if score is None else score.error


def best_so_far(records: Sequence[Record]) -> np.ndarray:
    """The least error up to each score record, shape ``(records,)``."""
    return np.minimum.accumulate([error(record) for record in records])
