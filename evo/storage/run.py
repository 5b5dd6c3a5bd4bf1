"""A run that is under way: created or resumed, with its recipe, folder, journal and evaluations, closed together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from itertools import chain
from pathlib import Path
from typing import Generic, TypeVar

from cluster.pool import Pool
from evaluators.function import Function, as_evaluator
from evaluators.task import Evaluator
from evo.run_settings import RunSettings
from evo.storage.evaluations import Evaluations
from evo.storage.folders import made_folder
from evo.storage.header import JOURNAL, agree, current, given_in, named_topologies, new_header, records_of
from evo.storage.journal import DAMAGED, Journal, PausedError, intact, is_begun
from evo.storage.log import log_event, log_file
from evo.storage.pools import check_evaluator, evaluator_of, open_pool
from evo.storage.records import (
    EndRecord,
    EndStatus,
    ForkRecord,
    Header,
    Note,
    Record,
    RunEvent,
    RunOpened,
    ScoreRecord,
    key_of_note,
)
from topologies.stack import AnyTopology

_log = logging.getLogger(__name__)

SettingsT = TypeVar("SettingsT", bound=RunSettings)
"""A recipe's settings: a search's or a study's."""

Watcher = Callable[[RunEvent], None]
"""Is shown every record of the journal, old ones first, and what else happens (:data:`evo.storage.records.RunEvent`).

Watchers see; nothing they do influences a search, but that one whose reader has gone (BrokenPipeError, of which rich
makes a SystemExit) stops it.
"""


@dataclass(frozen=True)
class Run(Generic[SettingsT]):
    """What the phases of a search share."""

    settings: SettingsT
    folder: Path
    journal: Journal
    evaluations: Evaluations
    show: Watcher
    given: Mapping[str, AnyTopology]
    """The topologies that the recipe names, as they were when the run began."""
    noted: set[tuple[str, str, int]]
    """What is noted already, by :func:`evo.storage.records.key_of_note`."""

    def note(self, note: Note) -> bool:
        """Journal and show a note, unless an earlier process did; whether it is new."""
        key = key_of_note(note)
        if key in self.noted:
            return False
        self.journal.append([note])
        self.noted.add(key)
        self.show(note)
        return True

    def end(self, status: EndStatus, why: str = "") -> None:
        """Journal and show how this process left the run; only the last word counts, and it is not said twice."""
        last = self.journal.last
        if not isinstance(last, EndRecord) or last.status != status:
            self.journal.append([EndRecord(status=status, why=why)])
        self.show(self.journal.last)


@contextmanager
def open_run(
    settings: SettingsT,
    evaluator: Evaluator | Function | None,
    folder: Path | None,
    watcher: Watcher,
    named: Mapping[str, AnyTopology] | None = None,
) -> Iterator[Run[SettingsT]]:
    """Create a run, or resume the one that the folder holds; however the block is left, the journal says how.

    Parameters
    ----------
    settings:
        The recipe.
    evaluator:
        What scores candidates, or a function that does; by default the one that the recipe names.
    folder:
        Where the run lives; it is made where it is not there. By default a new one in ``settings.runs``.
    watcher:
        See :data:`Watcher`.
    named:
        The topologies that the recipe of a new run names, by default what the names stand for now.

    Raises
    ------
    ValueError
        When the folder cannot be written, holds another recipe's run, or the pool cannot start.
    PausedError
        When the disk is full.
    """
    given = None if evaluator is None else as_evaluator(evaluator)
    if folder is not None and is_begun(folder / JOURNAL):
        opened = resume(settings, given, folder, watcher)
    else:
        opened = create(settings, given, folder, watcher, named)
    with opened as run:
        yield run


@contextmanager
def create(
    settings: SettingsT,
    evaluator: Evaluator | None,
    folder: Path | None,
    watcher: Watcher,
    named: Mapping[str, AnyTopology] | None = None,
) -> Iterator[Run[SettingsT]]:
    """Begin a run in a new folder, or in one that holds no run; arguments and errors as for :func:`open_run`."""
    judge = evaluator_of(settings, evaluator)
    reused = _reused(settings)
    given = named_topologies(settings) if named is None else named
    check_evaluator(judge, settings)
    with made_folder(folder, settings) as place, open_pool(settings, judge) as (pool, backend):
        header = new_header(settings, evaluator, given, backend)
        with Journal(place / JOURNAL, header) as journal:
            if journal.header is not header:
                raise ValueError(f"{place}: another process began a run here meanwhile: choose another folder")
            with _under_way(settings, place, journal, pool, journal.recovered(), reused, watcher) as run:
                yield run


@contextmanager
def resume(
    settings: SettingsT, evaluator: Evaluator | None, folder: Path, watcher: Watcher
) -> Iterator[Run[SettingsT]]:
    """Go on with the run that a folder holds; arguments and errors as for :func:`open_run`."""
    judge = evaluator_of(settings, evaluator)
    reused = _still_reused(settings)
    with open_pool(settings, judge) as (pool, _), Journal(folder / JOURNAL) as journal:
        recovered = journal.recovered()
        try:
            news = agree(recovered, settings, judge)
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from None
        journal.append(news)
        with _under_way(settings, folder, journal, pool, [*recovered, *news], reused, watcher) as run:
            del recovered  # the records of a long run are large
            yield run


@contextmanager
def _under_way(
    settings: SettingsT,
    folder: Path,
    journal: Journal,
    pool: Pool,
    records: list[Record],
    reused: Sequence[Sequence[Record]],
    watcher: Watcher,
) -> Iterator[Run[SettingsT]]:
    """A run whose journal holds these records, which are dropped once they are learned and shown."""

    def show(event: RunEvent) -> None:
        log_event(event)
        watcher(event)

    for unfinished in folder.glob(".*.tmp"):  # of a process that was killed while it wrote
        unfinished.unlink()
    with log_file(folder):
        counting = current(records)
        evaluations = Evaluations(journal, pool, show, counting, settings.noted)
        evaluations.learn(_from_elsewhere(folder, records, reused))
        evaluations.learn(records)  # last, for what the run itself has seen is what it goes on from
        noted = {key_of_note(one) for one in counting if isinstance(one, Note)}
        run = Run[SettingsT](settings, folder, journal, evaluations, show, given_in(journal.header), noted)
        show(RunOpened(journal.header, folder, pool.size))
        for record in counting:
            if not isinstance(record, Header | EndRecord):
                watcher(record)
        records.clear()
        del counting
        with _ended(run):
            yield run


@contextmanager
def _ended(run: Run[SettingsT]) -> Iterator[None]:
    """Journal how the block is left; PausedError where that is for want of room on the disk."""
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit | PausedError | BrokenPipeError)
        why = "" if isinstance(error, SystemExit) else str(error)  # of which that is but a number
        with suppress(PausedError, BrokenPipeError):
            run.end("KILLED" if stopped else "FAILED", why)
        if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
            raise PausedError(run.folder, error) from error
        raise
    run.end("FINISHED")


def _from_elsewhere(folder: Path, own: Sequence[Record], reused: Sequence[Sequence[Record]]) -> Iterator[ScoreRecord]:
    """Scores that a run may take over: what was cut from its own journal, and those of others with the same judge."""
    cut = (intact(file) for file in folder.glob(f"{JOURNAL}{DAMAGED}*"))
    judge = _judge(own)
    alike = (records for records in reused if judge is not None and _judge(records) == judge)
    for record in chain.from_iterable((*cut, *alike)):
        if isinstance(record, ScoreRecord) and not record.failure:
            yield record


def _judge(records: Sequence[Record]) -> tuple[str, str, str, int] | None:
    """What decides the scores in a journal, besides what was asked; None where a fork went on by another program."""
    header, programs = records[0], [one.program for one in records if isinstance(one, Header | ForkRecord)]
    found = {(program.canary, program.packages["evofabric"]) for program in programs}
    assert isinstance(header, Header)
    return (header.evaluator, *found.pop(), header.settings["seed"]) if len(found) == 1 else None


def _reused(settings: RunSettings) -> list[list[Record]]:
    """The journals of the runs whose scores a recipe wants to use; ValueError where there is none."""
    try:
        return [records_of(folder) for folder in settings.reuse_from]
    except ValueError as error:
        raise ValueError(f"reuse_from: {error}") from None


def _still_reused(settings: RunSettings) -> list[list[Record]]:
    """The journals of those that are still there when a run goes on: their scores can be computed as well."""
    found = []
    for folder in settings.reuse_from:
        try:
            found.append(records_of(folder))
        except ValueError as error:
            _log.warning("reuse_from: %s; the run goes on without its scores", error)
    return found
