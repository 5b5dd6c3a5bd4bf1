"""A study of a figure in the terminal: a bar while it runs, then its table and where the figure is."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from evo.storage.history import History
from evo.studies.console import file_and_say, run_and_show
from evo.studies.figures.report import table, track, write
from evo.studies.figures.settings import FigureSettings
from evo.studies.figures.study import study


def draw_and_show(
    settings: FigureSettings, folder: Path | None, console: Console, progress_on: Console | None = None
) -> None:
    """Run a study, or what is left of the one in a folder; print, draw and track what it found.

    Of one that has ended nothing is run, so that it needs no data any more.

    Raises
    ------
    ValueError
        As :func:`evo.studies.figures.study.study` does; tracking that fails is only said.
    """
    ended = folder if folder is not None and History.of(folder).status == "FINISHED" else None
    if ended is None:
        ended = run_and_show(lambda watcher: study(settings, folder=folder, watcher=watcher), console, progress_on)
    history = History.of(ended)
    console.print(table(history))
    with (progress_on or console).status("drawing ..."):
        files = write(history, ended)
    for path in files:
        console.print(f"written to {path}", soft_wrap=True, markup=False)
    if not files:
        console.print("[yellow]Every evaluation failed: there is nothing to draw.")
    file_and_say(track, ended, console, progress_on)
