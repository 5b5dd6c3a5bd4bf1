"""A run that is under way: its recipe, folder, journal and evaluations, opened and closed together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path

from cluster.ray_session import in_ray_job
from evaluators.task import Evaluator
from evo.settings import Settings
from evo.storage.evaluations import Evaluations
from evo.storage.header import JOURNAL, agree, current, given_in, header, named, records_of
from evo.storage.journal import Journal, PausedError, Record
from evo.storage.log import log_file, log_record
from evo.storage.pools import named_evaluator, open_pool
from topologies.topology import Topology

Watcher = Callable[[Record], None]
"""Is shown every record of the journal, old ones first, and a record of kind "phase" before each phase.

Watchers see; nothing they do influences a search.
"""


_Name = tuple[str, str | None, int | None]


def _name(record: Record) -> _Name:
    """What a record that is not a score is about."""
    return (record["kind"], record.get("phase"), record.get("number"))


@dataclass(frozen=True)
class Run:
    """What the phases of a search share."""

    settings: Settings
    folder: Path
    journal: Journal
    evaluations: Evaluations
    show: Watcher
    given: Mapping[str, Topology]
    """The founders and the baseline that the recipe names, as they were when the run began."""
    noted: set[_Name]
    """Names of the records that are not scores."""

    def note(self, record: Record) -> None:
        """Journal and show a record that is not a score, unless an earlier process did."""
        name = _name(record)
        if name not in self.noted:
            self.journal.append([{**record, "time": time.time()}])
            self.noted.add(name)
            self.show(self.journal.last)

    def end(self, status: str, why: str = "") -> None:
        """Journal and show how this process left the run; only the last word counts, and it is not said twice."""
        if (self.journal.last["kind"], self.journal.last.get("status")) != ("end", status):
            self.journal.append([{"kind": "end", "status": status, "why": why, "time": time.time()}])
        self.show(self.journal.last)


@contextmanager
def open_run(settings: Settings, evaluator: Evaluator | None, folder: Path | None, watcher: Watcher) -> Iterator[Run]:
    """Open a run, new or begun before; however the block is left, the journal says how.

    Raises
    ------
    ValueError
        When the folder cannot be written, holds another recipe's run, or the pool cannot start.
    PausedError
        When the disk is full.
    """
    evaluator = evaluator or named_evaluator(settings.evaluator)
    known = _known(settings)
    begun = folder is not None and (folder / JOURNAL).exists()
    given = {} if begun else named(settings)
    folder = folder or new_folder(settings)
    with (
        _without_trace(folder),
        open_pool(settings.cluster, evaluator) as (pool, backend),
        Journal(folder / JOURNAL, header(settings, evaluator, given, backend)) as journal,
        log_file(folder),
    ):
        for unfinished in folder.glob(".*.tmp"):  # of a process that was killed while it wrote
            unfinished.unlink()
        recovered = journal.recovered()
        try:
            news = agree(recovered, settings, evaluator)
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from None
        journal.append(news)
        everything = [*recovered, *news]
        recovered = current(everything)

        def show(record: Record) -> None:
            log_record(record)
            watcher(record)

        evaluations = Evaluations(journal, pool, settings.seed, show, recovered)
        evaluations.learn(everything)
        for records in known:
            if _judge(records[0]) == _judge(journal.header):
                evaluations.learn(record for record in records if not record.get("failure"))
        noted = {_name(record) for record in recovered if record["kind"] != "score"}
        run = Run(settings, folder, journal, evaluations, show, given_in(journal.header), noted)
        show({**recovered[0], "folder": str(folder), "workers": pool.size})
        for record in recovered[1:]:
            if record["kind"] != "end":
                watcher(record)
        del recovered, everything, known  # the records of a long run are large
        try:
            yield run
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt | SystemExit | PausedError)
            with suppress(PausedError):
                run.end("KILLED" if stopped else "FAILED", str(error))
            if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
                raise PausedError(folder, error) from error
            raise
        run.end("FINISHED")


def _judge(header: Record) -> tuple[str, str, int]:
    """What decides the scores in a journal, besides what was asked."""
    return header["evaluator"], header["canary"], header["settings"]["seed"]


def _known(settings: Settings) -> list[list[Record]]:
    """The journals of the runs whose scores a recipe wants to use; ValueError where there is none."""
    try:
        return [records_of(folder) for folder in settings.known]
    except ValueError as error:
        raise ValueError(f"known: {error}") from None


@contextmanager
def _without_trace(folder: Path) -> Iterator[None]:
    """Remove the folder again if the run never came to have a journal."""
    try:
        yield
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


def new_folder(settings: Settings) -> Path:
    """A new folder for a run of this recipe; names sort by recipe, then by time."""
    if in_ray_job() and not settings.runs.is_absolute():
        raise ValueError(
            f"inside a Ray job {settings.runs} is a folder that Ray deletes with the job's files: "
            "give an absolute one that stays, for example --set runs=/shared/runs"
        )
    size = f"{settings.n_in}x{settings.n_out}"
    stem = f"{settings.name}-{size}-b{settings.budget}-s{settings.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        settings.runs.mkdir(parents=True, exist_ok=True)
        for name in (stem, *(f"{stem}-{count}" for count in range(2, 100))):
            folder = settings.runs / name
            if not folder.exists():
                folder.mkdir()
                return folder.resolve()
    except OSError as error:
        raise ValueError(f"the runs folder {settings.runs} cannot be written: {error.strerror}") from None
    raise ValueError(f"{settings.runs} has a hundred runs called {stem}")
