"""The commands about the folders that runs leave: runs, report, compare, ui, track."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from evo.cli.options import Json, Runs
from evo.cli.terminal import begin, console, keep_stdout_for_results, status


def runs(folder: Runs = Path("runs"), as_json: Json = False) -> None:
    """List runs: their state, best error against the baseline, and result digest."""
    keep_stdout_for_results(as_json)
    from evo.report.listing import runs as listed
    from evo.report.tables import runs_table

    begin("reading journals")
    found = listed(folder)
    if as_json:
        print(json.dumps([asdict(one) | {"folder": str(folder / one.name)} for one in found]))
    elif found:
        console.print(runs_table(found))
    else:
        console.print(f"no runs in {folder}: start one with `evofabric search quick`", markup=False)


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)],
) -> None:
    """Make a run's report again: one page, with tables and pictures beside it."""
    from evo.report.artifacts import write_report

    begin("drawing", say=True)
    console.print(f"Report: {write_report(run)}", soft_wrap=True, markup=False)


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="The folder of a run.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="B", help="The folder of another.", show_default=False)],
) -> None:
    """Show two runs beside each other: the settings that differ, their verdicts and their tables."""
    from evo.report.side_by_side import side_by_side
    from evo.storage.history import History

    begin("reading journals")
    for part in side_by_side(History.of(first), History.of(second)):
        console.print(part)


def ui(folder: Runs = Path("runs"), port: int = 5000) -> None:
    """Browse runs in MLflow's web interface, on this machine only."""
    from evo.tracking.ui import serve_ui

    begin("starting MLflow")
    serve_ui(folder, port, status.stop)


def track(
    run: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)],
    uri: Annotated[
        str | None,
        typer.Option(
            help="Where to file it, as http://localhost:5000 or sqlite:///mine.db; by default where the run said."
        ),
    ] = None,
) -> None:
    """Make a run's MLflow records again from its journal: what is missing is added, tags and notes are written anew."""
    from evo.kinds import Kind, kind_of
    from evo.storage.history import History
    from evo.studies.figures.report import track as track_figure
    from evo.studies.proxies.report import track as track_study
    from evo.studies.rules.report import track as track_rules
    from evo.tracking.store import track as track_search

    begin("filing", say=True)
    trackers = {
        Kind.SEARCH: track_search,
        Kind.RULES: track_rules,
        Kind.PROXIES: track_study,
        Kind.FIGURE: track_figure,
    }
    number = trackers[kind_of(History.of(run).settings)](run, uri)
    console.print(f"tracked as MLflow run {number}")
