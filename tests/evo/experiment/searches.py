"""Whole searches on a cheap evaluator, and what their journals say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import evo.experiment.baselines
import evo.storage.pools
import evo.storage.run
from cluster.in_process import InProcessPool
from cluster.pool import Pool
from evaluators.task import Evaluator, Task
from evo.experiment.search import Result, search
from evo.settings import Settings
from evo.storage.header import JOURNAL, records_of
from evo.storage.records import (
    GenerationRecord,
    ScoreRecord,
)
from tests.fakes import HashEvaluator, recipe


@dataclass(frozen=True)
class Finished:
    """A search that was run, with its journal."""

    settings: Settings
    result: Result
    tasks: list[Task]

    @property
    def lines(self) -> list[bytes]:
        """The journal, a record a line."""
        return (self.result.folder / JOURNAL).read_bytes().splitlines(keepends=True)

    def scores(self, phase: str) -> list[ScoreRecord]:
        """The scores of a phase by number."""
        return scores(self.result.folder, phase)


def scores(folder: Path, phase: str) -> list[ScoreRecord]:
    """The scores of a phase in a journal, by number."""
    records = [one for one in records_of(folder) if isinstance(one, ScoreRecord) and one.phase == phase]
    return sorted(records, key=lambda one: one.number)


def processed(folder: Path, phase: str) -> list[Any]:
    """What a loop processed, in the order of breeding."""
    return [(one.number, one.digest, one.origin, one.score, one.failure) for one in scores(folder, phase)]


def generations(folder: Path, phase: str) -> list[GenerationRecord]:
    """What was noted after every generation of a loop, as it stands in the journal."""
    return [one for one in records_of(folder) if isinstance(one, GenerationRecord) and one.phase == phase]


def run(
    folder: Path,
    settings: Settings,
    evaluator: Evaluator | None = None,
    pool: Callable[[Evaluator], Pool] = InProcessPool,
) -> Finished:
    """Search in a folder with a pool that notes its tasks."""
    folder.mkdir(exist_ok=True)
    tasks: list[Task] = []

    def noting(judge: Evaluator) -> Pool:
        made = pool(judge)
        submit = made.submit

        def note(asked: Sequence[Task]) -> None:
            tasks.extend(replace(task, number=0) for task in asked)
            submit(asked)

        made.submit = note  # type: ignore[method-assign]
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evo.storage.pools, "InProcessPool", noting)
        return Finished(settings, search(settings, evaluator or HashEvaluator(), folder=folder), tasks)


def small(**changes: Any) -> Settings:
    """A search of 6 x 6."""
    return recipe(**{"n_in": 6, "n_out": 6, "budget": 24, **changes})
