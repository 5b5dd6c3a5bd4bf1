"""Results as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from evo.confirm import Row

_BETTER, _WORSE, _LEVEL = "green", "red", "yellow"


def final_table(rows: Sequence[Row], baseline: str) -> Table:
    """The rows on held-out targets, with each one's paired difference from the row ``baseline``."""
    targets = len(rows[0].errors)
    table = Table(title=f"Relative error on {targets} held-out targets (smaller is better)", title_justify="left")
    for heading in ("topology", "member"):
        table.add_column(heading, overflow="fold")
    for heading in ("trainable", "edges", "depth", "error"):
        table.add_column(heading, justify="right")
    table.add_column("difference from baseline, 95 % interval", justify="right")
    for row in rows:
        table.add_row(
            f"[bold]{row.kind}[/bold]" if row is rows[0] else row.kind,
            row.label + ("" if row.topology.is_connected else " (some pairs unconnected)"),
            str(row.topology.n_trainable),
            str(row.topology.n_edges),
            str(row.topology.depth),
            f"{row.error.mean:.4f}",
            "the baseline" if row.kind == baseline else _difference(row),
        )
    return table


def verdict(rows: Sequence[Row]) -> str:
    """In words, what the first row's comparison with every other row says."""
    first, others = rows[0], rows[1:]
    beaten, level, lost = [], [], []
    for other in others:
        low, high = paired(first, other)
        (beaten if high < 0 else lost if low > 0 else level).append(other.kind)
    parts = [
        f"{words} {', '.join(kinds)}"
        for words, kinds in (
            ("is better than", beaten),
            ("is not told apart from", level),
            ("[bold]does not beat[/bold]", lost),
        )
        if kinds
    ]
    return f"The {first.kind} {'; it '.join(parts)} (paired, 95 %)."


def paired(first: Row, second: Row) -> tuple[float, float]:
    """95 % interval of the mean difference (first - second) over the same targets."""
    import numpy as np

    from evo.confirm import interval

    found = interval(np.subtract(first.errors, second.errors))
    return found.low, found.high


def _difference(row: Row) -> str:
    if row.difference is None:
        return ""
    colour = _BETTER if row.difference.high < 0 else _WORSE if row.difference.low > 0 else _LEVEL
    return f"[{colour}]{row.difference.mean:+.4f}[/{colour}] ({row.difference.low:+.4f} to {row.difference.high:+.4f})"
