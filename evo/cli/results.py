"""The commands about the folders that runs leave: runs, ui, track."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evo.cli.options import Runs
from evo.cli.terminal import begin, console, status


def runs(folder: Runs = Path("runs")) -> None:
    """List runs: their state, best error against the baseline, and result digest."""
    from evo.report.listing import runs as listed
    from evo.report.tables import runs_table

    begin("reading journals")
    found = listed(folder)
    console.print(
        runs_table(found) if found else f"no runs in {folder}: start one with `evofabric search runs/quick.toml`"
    )


def ui(folder: Runs = Path("runs"), port: int = 5000) -> None:
    """Browse runs in MLflow's web interface, on this machine only."""
    from evo.tracking.ui import serve_ui

    begin("starting MLflow")
    serve_ui(folder, port, status.stop)


def track(
    run: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)],
    uri: Annotated[str | None, typer.Option(help="Tracking server; by default the database beside the run.")] = None,
) -> None:
    """Make a run's MLflow records again from its journal; what is there already is not changed."""
    from evo.storage.history import History
    from evo.studies.figures.report import track as track_figure
    from evo.studies.proxies.report import track as track_study
    from evo.tracking.store import track as track_search

    begin("filing", say=True)
    history = History.of(run)
    tracked = track_study if history.is_study else track_figure if history.draws_figure else track_search
    console.print(f"tracked as MLflow run {tracked(run, uri)}")
