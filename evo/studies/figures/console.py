"""A study of a figure in the terminal: a bar while it runs, then its table and where the figure is."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from evo.storage.history import History
from evo.studies.figures.report import table, track, write
from evo.studies.figures.settings import FigureSettings
from evo.studies.figures.study import study
from evo.studies.proxies.console import StudyProgress


def draw_and_show(settings: FigureSettings, folder: Path | None, console: Console) -> None:
    """Run a study, or what is left of the one in a folder; print, draw and track what it found.

    Raises
    ------
    ValueError
        As :func:`evo.studies.figures.study.study` does; tracking that fails is only said.
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
    console.print(table(history))
    with console.status("drawing ..."):
        files = write(history, folder)
    for path in files:
        console.print(f"written to {path}", soft_wrap=True)
    if not files:
        console.print("[yellow]Every evaluation failed: there is nothing to draw.")
    try:
        with console.status("filing in MLflow ..."):
            track(folder)
    except ValueError as error:
        console.print(f'[yellow]{error}; catch up with: evofabric track "{folder}"', soft_wrap=True)
