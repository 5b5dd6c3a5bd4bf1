"""What studies have in common in the terminal: a bar for every phase, how to go on after a stop, and filing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from evo.console import interrupts
from evo.storage.records import PhaseStarted, ProxyRecord, RunEvent, RunOpened, ScoreRecord
from evo.storage.run import Watcher


def run_and_show(run: Callable[[Watcher], Path], console: Console, progress_on: Console | None = None) -> Path:
    """Run a study that is given a watcher, with its progress; the folder. Of a stop it is said how to go on.

    Progress is shown on a console of its own, if one is given.
    """
    progress = StudyProgress(progress_on or console)
    try:
        with progress:
            return run(progress)
    except KeyboardInterrupt:
        if progress.folder is not None:
            how = f'[bold]evofabric resume "{escape(str(progress.folder))}"[/bold]'
            console.print(f"Stopped. Continue with: {how}", soft_wrap=True)
        interrupts.again()  # for what is left is to wait for MLflow, if anything is
        raise


def file_and_say(
    track: Callable[[Path], str], folder: Path, console: Console, progress_on: Console | None = None
) -> None:
    """File a study in MLflow; where that fails or is interrupted it is said how to catch up."""

    def say(why: str) -> None:
        console.print(f'{why}; catch up with: evofabric track "{folder}"', style="yellow", markup=False, soft_wrap=True)

    try:
        with (progress_on or console).status("filing in MLflow; Ctrl-C leaves it for later ..."):
            track(folder)
    except ValueError as error:
        say(str(error))
    except KeyboardInterrupt:
        say("MLflow lacks this run")
        raise


class StudyProgress:
    """A watcher (:data:`evo.storage.run.Watcher`) of a study; without a line that lives it names the phases."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
        self._bar = Progress(*columns, TimeRemainingColumn(compact=True), console=console, transient=True)
        self._task: TaskID | None = None
        self.folder: Path | None = None

    def __enter__(self) -> StudyProgress:
        if self._console.is_interactive:
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
                self._console.print(f"{workers} workers ready; results in {folder}", soft_wrap=True, markup=False)
            case PhaseStarted(phase, count):
                if self._task is not None:
                    self._bar.remove_task(self._task)
                self._task = self._bar.add_task(phase, total=count)
                if not self._console.is_interactive:
                    self._console.print(phase if count is None else f"{phase} ({count})")
            case ScoreRecord() | ProxyRecord() if self._task is not None:  # not what the journal knew
                self._bar.advance(self._task)
                if isinstance(event, ScoreRecord) and event.failure:
                    self._console.print(f"[yellow]{event.phase} {event.number} failed: {escape(event.failure)}")
