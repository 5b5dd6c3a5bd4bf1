"""A search in the terminal: what it would cost, a line that lives while it runs, and what it found."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from evo.console import interrupts
from evo.console.duration import advice, duration
from evo.console.progress import ProgressDisplay
from evo.console.whole import print_whole
from evo.experiment.pace import seconds_per_step
from evo.experiment.plan import plan, planned_workers
from evo.experiment.search import Result, search
from evo.report.artifacts import is_up_to_date, write_report
from evo.report.final_table import comparison_table, plain, verdict
from evo.report.tables import plan_table
from evo.report.text import REPORT, retrained_words, source_of
from evo.report.use import how_to_use
from evo.report.words import words_of
from evo.settings import Settings
from evo.storage.header import named_topologies
from evo.storage.history import History
from evo.storage.records import PhaseStarted, RunEvent, RunOpened, TableRecord
from evo.tracking.background import Tracker
from evo.tracking.client import tracking_uri
from topologies.names import CHAMPION

_log = logging.getLogger(__name__)

RECIPE = "recipe.toml"
"""Where a run's folder keeps the recipe that was made for it."""


class Stopped(SystemExit):
    """A search was stopped, and how to go on was said.

    ``folder`` is its own, None where it had not begun; ``result`` is there where it had ended.
    """

    def __init__(self, folder: Path | None, result: Result | None = None) -> None:
        super().__init__(130)
        self.folder, self.result = folder, result


def show_plan(settings: Settings, console: Console, seeds: int = 1, is_timed: bool = False) -> None:
    """Print a recipe with all its defaults, and an estimate of its cost unless it ``is_timed``: its time was told.

    The search is repeated with so many seeds.

    Raises
    ------
    ValueError
        For a recipe that cannot be followed.
    """
    named_topologies(settings)
    console.print_json(settings.model_dump_json())
    console.print("[dim]counting the members of the hand-derived families ...[/dim]")
    phases = plan(settings)
    console.print(plan_table(phases))
    if is_timed:
        return
    console.print("[dim]measuring one evaluation ...[/dim]")
    per_step = seconds_per_step(settings)
    workers = planned_workers(settings)
    each = sum(phase.length(workers) * per_step[phase.split] for phase in phases)
    of_each = f", {duration(each)} for each of {seeds} seeds" if seeds > 1 else ""
    console.print(
        f"about {duration(seeds * each)} on {workers} worker{'s' * (workers > 1)} as fast as this machine is now"
        f"{of_each}, measured on one evaluation of a large topology; starting and filing the results takes some "
        "seconds more"
    )
    if (told := advice(seeds * each, settings)) is not None:
        console.print(f"[yellow]{told}[/yellow]")


def search_and_show(
    settings: Settings,
    folder: Path | None,
    console: Console,
    as_json: bool = False,
    recipe: str | None = None,
    progress_on: Console | None = None,
) -> Result:
    """Run a search, or what is left of the one in a folder; track it and print what it found.

    With ``as_json`` the last is a line of JSON on standard output, and the console is for the rest. ``recipe`` is the
    text of a recipe that was made for the search, and is kept in the run's folder. Progress is shown on a console of
    its own, if one is given.

    Raises
    ------
    Stopped
        When it was stopped, once it has said how to go on; also when it had ended, and only what MLflow still lacked
        was left for later, once the result is shown.
    SystemExit
        With status 1 when nobody reads what is printed.
    ValueError
        As :func:`evo.experiment.search.search` does.
    """
    where = folder

    def watch(event: RunEvent) -> None:
        nonlocal where
        if isinstance(event, RunOpened):
            where = event.folder
            if recipe is not None:
                (where / RECIPE).write_text(recipe, encoding="utf-8")
        if isinstance(event, TableRecord) and where is not None:
            progress(PhaseStarted("report"))
            _report(where)  # before the tracker hears of it, which keeps what is drawn here
        tracker(event)
        progress(event)

    with ProgressDisplay(settings, progress_on or console) as progress, Tracker(settings) as tracker:
        try:
            result = search(settings, folder=folder, watcher=watch)
        except KeyboardInterrupt:
            _say_how_to_go_on(where, console)
            interrupts.again()  # all that is left is to wait for MLflow
            raise Stopped(where) from None
        except SystemExit:  # rich's, where the reader of what is printed has gone
            if where is not None:
                print(f'evofabric: stopped, continue with: evofabric resume "{where}"', file=sys.stderr)
            raise
    show_result(result, settings, console, tracker.has_filed, as_json)
    if tracker.is_interrupted:
        raise Stopped(where, result)
    return result


def _say_how_to_go_on(folder: Path | None, console: Console) -> None:
    if folder is None:
        console.print("Stopped before the search began; nothing was written.")
        return
    best = folder / CHAMPION
    kept = f"the best topology so far is kept in {escape(str(best))}" if best.exists() else "nothing was bred yet"
    how = f'[bold]evofabric resume "{escape(str(folder))}"[/bold]'
    console.print(f"Stopped: {kept}. Continue with: {how}", soft_wrap=True)


def show_result(result: Result, settings: Settings, console: Console, is_filed: bool, as_json: bool = False) -> None:
    """Print what a search found, as a line of JSON on standard output if that is wanted.

    ``is_filed`` says that MLflow is known to have all of it.
    """
    history = History.of(result.folder)
    if as_json:
        print(json.dumps(json_values(result, history)))
        return
    words = words_of(settings.evaluator, settings.model_dump())
    console.print(comparison_table(result.table, words, console.width), soft_wrap=True)
    console.print()
    if settings.found is not None:
        console.print(f"{source_of(settings.model_dump())}: {settings.found.about}", soft_wrap=True, markup=False)
    print_whole(console, verdict(result.table, result.founder))
    if told := retrained_words(history):
        print_whole(console, told)
    console.print(how_to_use(result, settings, tracking_uri(settings.tracking.uri), is_filed), soft_wrap=True)


def _report(folder: Path) -> None:
    """Write the report of a run that has its table, if there is none; a search does not fail for want of one."""
    try:
        if not is_up_to_date(History.of(folder)):
            write_report(folder)
    except Exception as error:
        _log.warning("the report could not be made (%s); `evofabric report %s` tries again", error, folder)


def json_values(result: Result, history: History) -> dict[str, Any]:
    """What a search found, as JSON has it."""
    report = result.folder / REPORT
    return {
        **plain(result.table),
        "founder": result.founder,
        "champion_file": str(result.champion_file),
        "best_row": result.table.best.name,
        "row_files": {name: str(file) for name, file in result.row_files.items()},
        "folder": str(result.folder),
        "report": str(report) if report.is_file() else None,
        "digest": result.digest,
        "retrained": [
            {"number": before.number, "search_error": before.error, "retrained_error": after.error}
            for before, after in history.retrained
        ],
    }
