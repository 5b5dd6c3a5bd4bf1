"""Two runs beside each other in the terminal: the settings that differ, what each found, and their tables as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from evo.kinds import check_is_search
from evo.report.final_table import verdict
from evo.report.numbers import difference, ratio, significant
from evo.report.text import WORDS
from evo.storage.history import History
from evo.storage.results import FinalTable, Row

_TESTED_ON = ("n_in", "n_out", "places", "seed", "targets", "transpose_targets")
"""Settings that decide on which targets rows are tested, besides the data, what y is, folds, and how many there are."""


def side_by_side(first: History, second: History) -> Iterator[RenderableType]:
    """What to print of two searches, called A and B.

    Raises
    ------
    ValueError
        When one of them is a study.
    """
    runs = {"A": first, "B": second}
    for history in runs.values():
        check_is_search(history.folder, history.settings)
    for letter, history in runs.items():
        yield f"[bold]{letter}[/bold]  {escape(history.folder.name)}: {_found(history)}"
    yield ""
    yield _settings(first, second)
    if first.table or second.table:
        yield _rows(first.table, second.table)
    yield _champions(first, second)


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings that two recipes differ in, by dotted names; None stands for one that a recipe has not."""
    one, other = dict(_flat(first)), dict(_flat(second))
    return {name: (one.get(name), other.get(name)) for name in {**one, **other} if one.get(name) != other.get(name)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _found(history: History) -> str:
    if history.table is None:
        return f"{history.state}, no final table"
    return verdict(history.table, history.founder)


def _settings(first: History, second: History) -> RenderableType:
    found = differing(first.settings, second.settings)
    evaluators = (first.header.evaluator, second.header.evaluator)
    if evaluators[0] != evaluators[1]:
        found["evaluator"] = evaluators
    if not found:
        return "Their settings are the same."
    table = Table(title="Settings that differ", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for heading in ("setting", "A", "B"):
        table.add_column(heading, overflow="fold")
    for name, values in found.items():
        table.add_row(name, *("" if value is None else escape(str(value)) for value in values))
    return table


def _rows(first: FinalTable | None, second: FinalTable | None) -> Table:
    """Every row's test error, and what part of its own run's baseline's it is, the least of A's first."""
    table = Table(title="Test errors", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("topology")
    for letter in ("A", "B"):
        table.add_column(letter, justify="right")
        table.add_column("of baseline's", justify="right")
    tables = [one for one in (first, second) if one]
    for name in dict.fromkeys(row.name for one in tables for row in one.by_error):
        cells = [cell for one in (first, second) for cell in _cells(one, one.get(name) if one else None)]
        table.add_row(name, *cells)
    return table


def _cells(table: FinalTable | None, row: Row | None) -> tuple[str, str]:
    if table is None or row is None:
        return "", ""
    share = ratio(row.error.mean, table.baseline.error.mean)
    return significant(row.error.mean), "" if share is None else f"{share:.1%}"


def _tested_on(history: History) -> list[Any]:
    """What decides on which targets the rows of a run are tested."""
    settings = history.settings
    data, training = settings.get("found") or {}, settings.get("training") or {}
    what = [data.get(name) for name in ("fingerprint", "task", "outputs")]
    return [*map(settings.get, _TESTED_ON), *what, training.get("folds")]


def _champions(first: History, second: History) -> str:
    """The difference of the champions, paired where both runs were tested on the same targets."""
    if first.table is None or second.table is None:
        return "Champions are compared when both runs are finished."
    champion, other = first.table.first, second.table.first
    same = first.header.evaluator == second.header.evaluator and len(champion.errors) == len(other.errors)
    if not same or _tested_on(first) != _tested_on(second):
        return "They were tested on different targets: compare the parts of the baselines' errors."
    apart = champion.minus(other)
    told = f"The champion of A is {WORDS[apart.verdict]} that of B: {difference(apart)}"
    return f"{told}, paired over the same test targets."
