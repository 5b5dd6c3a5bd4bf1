"""A search for a rule in the terminal: a line for every phase while it runs, then the law and its test."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from evo.storage.history import History
from evo.storage.records import RunEvent
from evo.storage.run import Watcher
from evo.studies.console import run_and_show
from evo.studies.rules.law import words
from evo.studies.rules.report import champion, result_table, rule_of, show, write
from evo.studies.rules.study import RuleSettings, search_rules
from evo.tracking.background import Tracker


def search_rules_and_show(
    settings: RuleSettings, folder: Path | None, console: Console, progress_on: Console | None = None
) -> None:
    """Run a search for a rule, or what is left of the one in a folder; print, write and track what it found.

    Raises
    ------
    SystemExit
        With status 130 when what MLflow still lacked was left for later, once the result is shown.
    """
    with Tracker(settings, show) as tracker:

        def run(watcher: Watcher) -> Path:
            def watch(event: RunEvent) -> None:
                watcher(event)
                tracker(event)

            return search_rules(settings, folder=folder, watcher=watch)

        ended = run_and_show(run, console, progress_on)
    history = History.of(ended)
    write(history, ended)
    console.print(result_table(history))
    best = champion(history)
    if best is not None:
        console.print(words(rule_of(best)), soft_wrap=True, highlight=False)
    console.print(f"The law, tables and a picture are in {ended}", soft_wrap=True, markup=False)
    if tracker.is_interrupted:
        raise SystemExit(130)
