"""A study of scores in the terminal: a bar for every phase while it runs, then what it found."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from evo.storage.history import History
from evo.storage.records import PhaseStarted, ProxyRecord, RunEvent, RunOpened, ScoreRecord
from evo.studies.proxies.findings import findings, samples
from evo.studies.proxies.report import findings_tables, track, write
from evo.studies.proxies.study import StudySettings, study


def study_and_show(settings: StudySettings, folder: Path | None, console: Console) -> None:
    """Run a study, or what is left of the one in a folder; print, write and track what it found.

    Raises
    ------
    ValueError
        As :func:`evo.studies.proxies.study.study` does; tracking that fails is only said.
    """
    progress = StudyProgress(console)
    try:
        with progress:
            folder = study(settings, folder=folder, watcher=progress)
    except KeyboardInterrupt:
        if progress.folder is not None:
            console.print(f'Stopped. Continue with: [bold]evofabric resume "{progress.folder}"[/bold]', soft_wrap=True)
        raise
    history = History.of(folder)
    for table in findings_tables(findings(samples(history))):
        console.print(table)
    with console.status("drawing ..."):
        write(history, folder)
    console.print(f"Tables and pictures are in {folder}", soft_wrap=True)
    try:
        with console.status("filing in MLflow ..."):
            track(folder)
    except ValueError as error:
        console.print(f'[yellow]{error}; catch up with: evofabric track "{folder}"', soft_wrap=True)


class StudyProgress:
    """A watcher (:data:`evo.storage.run.Watcher`) of a study; without a terminal it names the phases, a line each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
        self._bar = Progress(*columns, TimeRemainingColumn(compact=True), console=console, transient=True)
        self._task: TaskID | None = None
        self.folder: Path | None = None

    def __enter__(self) -> StudyProgress:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, event: RunEvent) -> None:
        """Take notice of an event."""
        match event:
            case RunOpened(_, folder, workers):
                self.folder = folder
                self._console.print(f"{workers} workers ready; results in {folder}", soft_wrap=True)
            case PhaseStarted(phase, count):
                if self._task is not None:
                    self._bar.remove_task(self._task)
                self._task = self._bar.add_task(phase, total=count)
                if not self._console.is_terminal:
                    self._console.print(f"{phase} ({count})")
            case ScoreRecord() | ProxyRecord() if self._task is not None:  # not what the journal knew
                self._bar.advance(self._task)
                if isinstance(event, ScoreRecord) and event.failure:
                    self._console.print(f"[yellow]{event.phase} {event.number} failed: {escape(event.failure)}")
