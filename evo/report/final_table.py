"""The final table for the terminal, one line a row, and the same as plain values for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.text import Text

from evo.report.numbers import difference, significant
from evo.report.text import WORDS, dense_words, founder_words, paired_over
from evo.report.words import Words
from evo.storage.results import FinalTable, Interval, Row, SharedWeights, Verdict

_HEADINGS = ("topology", "", "error", "difference", "trained", "edges", "depth")
_MARKS = {Verdict.BETTER: "", Verdict.LEVEL: "=", Verdict.WORSE: "+"}
"""Beside a row, by what the first row is in comparison with it."""
_COLOURS = {Verdict.BETTER: "green", Verdict.WORSE: "red", Verdict.LEVEL: "yellow"}


def comparison_table(table: FinalTable, words: Words, width: int = 80) -> Text:
    """The rows of a comparison on test targets, the least error first, each a line that begins with its name.

    No line is wrapped. Members have a column where ``width`` leaves room for all of them, and else a line each below.
    ``words`` are those for what the evaluator finds.
    """
    rows = table.by_error
    members = [row.label for row in rows]
    lines = [(*_HEADINGS, *["in the search"] * table.is_staged), *(_cells(row, table) for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    room = width - sum(widths) - 2 * len(widths)
    beside = max(map(len, members)) <= room
    text = Text(no_wrap=True, overflow="ignore")
    over = f"{len(table.first.errors)} {words.tested}"
    text.append(f"{words.error[:1].upper()}{words.error[1:]} on {over} (smaller is better)\n\n", "italic")
    for row, cells, member in zip((None, *rows), lines, ("member" if any(members) else "", *members), strict=True):
        padded = [cell.rjust(size) for cell, size in zip(cells, widths, strict=True)]
        padded[0] = cells[0].ljust(widths[0])
        styles = ["bold" if row in (None, table.first) else ""] * len(cells)
        if row is not None and row.difference is not None:
            styles[3] = _COLOURS[row.difference.verdict]
        for place, (cell, style) in enumerate(zip(padded, styles, strict=True)):
            text.append("  " * (place > 0)).append(cell, style)
        text.append(f"  {member}" if beside and member else "", "dim").append("\n")
    text.append("\n" + "\n".join(_legend(table, words)), "dim")
    if any(members) and not beside:
        told = [line for row in rows if row.label for line in _filled(f"{row.name}: {row.label}", width)]
        text.append("\n" + "\n".join(told), "dim")
    return text


def weight_sharing_words(found: Sequence[SharedWeights]) -> str:
    """A line on what a dense matrix gives that shares parameters; empty where nothing is known."""
    told = [f"{one.name} {significant(one.error.mean)} ({one.parameters} trained)" for one in found]
    return f"weight sharing: {', '.join(told)}" if told else ""


def verdict(table: FinalTable, founder: str | None = None) -> str:
    """In words, what the first row's comparison with every other row says, and what to use where that is another."""
    words = {one: f"is {told}" for one, told in WORDS.items()} | {Verdict.WORSE: "[bold]does not beat[/bold]"}
    parts = [
        f"{words[verdict]} {', '.join(escape(row.name) for row in rows)}"
        for verdict, rows in table.by_verdict().items()
    ]
    how = "" if table.is_deterministic else " (paired, 95 %, Holm over all rows)"
    use = founder_words(table, founder)
    told = [f"The {table.first.name} {'; it '.join(parts)}{how}.", dense_words(table)]
    return " ".join(filter(None, (*told, f"[bold]{escape(use)}[/bold]" if use else "")))


def plain(table: FinalTable) -> dict[str, Any]:
    """The table as JSON has it, in the order in which it is printed.

    ``beside_first`` is what the first row (the champion of a search) is in comparison with this one, after Holm's
    correction: "better", "level" or "worse"; ``difference`` is from the baseline.
    """
    rows = [_plain(row, table) for row in table.by_error]
    return {"first": table.first.name, "baseline": table.baseline_name, "rows": rows}


def plain_weight_sharing(found: Sequence[SharedWeights]) -> list[dict[str, Any]]:
    """What sharing parameters gives, as JSON has it."""
    return [
        {
            "name": one.name,
            "parameters": one.parameters,
            "error": one.error.mean,
            "error_interval": _ends(one.error),
        }
        for one in found
    ]


def _plain(row: Row, table: FinalTable) -> dict[str, Any]:
    topology = row.topology
    return {
        "name": row.name,
        "member": row.label,
        "error": row.error.mean,
        "error_interval": _ends(row.error),
        "difference": None if row.difference is None else row.difference.mean,
        "difference_interval": None if row.difference is None else _ends(row.difference),
        "beside_first": table.verdicts.get(row.name),
        "n_trainable": topology.n_trainable,
        "n_edges": topology.n_edges,
        "depth": topology.depth,
        "is_connected": topology.is_connected,
        "learning_rate": row.learning_rate,
        "weight_decay": row.weight_decay,
        "errors": list(row.errors),
        "search_error": row.search_error,
    }


def _ends(found: Interval) -> list[float]:
    return [found.low, found.high]


def _cells(row: Row, table: FinalTable) -> tuple[str, ...]:
    mark = "*" if row is table.first else _MARKS[table.verdicts[row.name]]
    told = "the baseline" if row.difference is None else difference(row.difference)
    counts = (row.topology.n_trainable, row.topology.n_edges, row.topology.depth)
    searched = [significant(row.search_error)] * table.is_staged
    return (row.name, mark, significant(row.error.mean), told, *map(str, counts), *searched)


def _legend(table: FinalTable, words: Words) -> Sequence[str]:
    """What marks and numbers mean."""
    marks = {_cells(row, table)[1] for row in table.others}
    told = [f"* {table.first.name}"]
    told += ["= level with it"] if "=" in marks else []
    told += ["+ better than it"] if "+" in marks else []
    how = " (95 %, Holm over all rows)" if len(told) > 1 and not table.is_deterministic else ""
    uncertain = "" if table.is_deterministic else ", with its 95 % interval"
    lines = [", ".join(told) + how, *[f"error: {words.meaning}"] * bool(words.meaning)]
    lines += [f"difference: from the baseline, paired over {paired_over(table, words)}{uncertain}"]
    lines += ["in the search: the error by the evaluator that candidates were searched by"] * table.is_staged
    lost = [row.name for row in table.rows if not row.topology.is_connected]
    return [*lines, *([f"some pairs unconnected: {', '.join(lost)}"] if lost else [])]


def _filled(words: str, width: int) -> list[str]:
    """Lines that are no longer than a width, broken behind semicolons alone."""
    lines = [""]
    for one in words.split("; "):
        if lines[-1] and len(lines[-1]) + len(one) + 3 > width:
            lines[-1] += ";"
            lines.append("  ")
        lines[-1] += one if not lines[-1].strip() else f"; {one}"
    return lines
