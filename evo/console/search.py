"""A search in the terminal: what it would cost, a line that lives while it runs, and what it found."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from cluster.ray_session import usable_cores
from evo.console.progress import ProgressDisplay
from evo.experiment.plan import plan, seconds_per_step
from evo.experiment.search import Result, search
from evo.report.tables import comparison_table, how_to_use, plan_table, verdict
from evo.report.text import source_of, words_of
from evo.settings import Settings
from evo.storage.header import named_topologies
from evo.storage.records import RunEvent, RunOpened
from evo.tracking.background import Tracker
from evo.tracking.client import tracking_uri
from topologies.names import CHAMPION


def show_plan(settings: Settings, console: Console) -> None:
    """Print a recipe with all its defaults, and an estimate of its cost.

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
    console.print("[dim]measuring one evaluation ...[/dim]")
    per_step = seconds_per_step(settings)
    seconds = sum(phase.seconds(per_step) for phase in phases)
    workers = settings.cluster.workers or usable_cores()
    console.print(
        f"about {seconds / workers / 60:.1f} minutes on {workers} workers as fast as this machine is now, measured on "
        "one evaluation of a large topology; starting and filing the results takes some seconds more",
        soft_wrap=True,
    )


def search_and_show(settings: Settings, folder: Path | None, console: Console) -> Result:
    """Run a search, or what is left of the one in a folder; track it and print what it found.

    Raises
    ------
    SystemExit
        With status 130 when it was stopped, once it has said how to go on.
    ValueError
        As :func:`evo.experiment.search.search` does.
    """
    where = folder

    def watch(event: RunEvent) -> None:
        nonlocal where
        if isinstance(event, RunOpened):
            where = event.folder
        tracker(event)
        progress(event)

    try:
        with ProgressDisplay(settings, console) as progress, Tracker(settings) as tracker:
            result = search(settings, folder=folder, watcher=watch)
    except KeyboardInterrupt:
        if where is not None:
            best = where / CHAMPION
            kept = f"the best topology so far is kept in {best}" if best.exists() else "nothing was bred yet"
            how = f'[bold]evofabric resume "{where}"[/bold]'
            console.print(f"Stopped: {kept}. Continue with: {how}", soft_wrap=True)
        else:
            console.print("Stopped before the search began; nothing was written.")
        raise SystemExit(130) from None
    console.print(comparison_table(result.table, words_of(settings.evaluator)))
    if settings.found is not None:
        console.print(f"{source_of(settings.model_dump())}: {settings.found.about}", soft_wrap=True)
    console.print(verdict(result.table))
    console.print(how_to_use(result, tracking_uri(settings.tracking.uri)), soft_wrap=True)
    return result
