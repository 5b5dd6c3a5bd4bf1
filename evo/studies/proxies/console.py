"""A study of scores in the terminal: a bar for every phase while it runs, then what it found."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from evo.storage.history import History
from evo.studies.console import file_and_say, run_and_show
from evo.studies.proxies.findings import findings, samples
from evo.studies.proxies.report import findings_tables, track, write
from evo.studies.proxies.study import StudySettings, study


def study_and_show(
    settings: StudySettings, folder: Path | None, console: Console, progress_on: Console | None = None
) -> None:
    """Run a study, or what is left of the one in a folder; print, write and track what it found.

    Raises
    ------
    ValueError
        As :func:`evo.studies.proxies.study.study` does; tracking that fails is only said.
    """
    ended = run_and_show(lambda watcher: study(settings, folder=folder, watcher=watcher), console, progress_on)
    history = History.of(ended)
    for table in findings_tables(findings(samples(history))):
        console.print(table)
    with (progress_on or console).status("drawing ..."):
        write(history, ended)
    console.print(f"Tables and pictures are in {ended}", soft_wrap=True, markup=False)
    file_and_say(track, ended, console, progress_on)
