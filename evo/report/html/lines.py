"""The final table as the page shows it: the least error first, and equal topologies in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evo.report.numbers import difference, significant
from evo.storage.results import FinalTable, Row, Verdict


@dataclass(frozen=True)
class Line:
    """One line of the table; ``verdict`` is what the first row is beside it, None of its own line.

    ``rank`` is shared by lines of equal errors. ``place``, ``low`` and ``high`` are where the difference from the
    baseline and the ends of its interval are on a scale from 0 to 100, on which ``zero`` is no difference.
    """

    rank: int
    names: tuple[str, ...]
    members: tuple[str, ...]
    verdict: Verdict | None
    error: str
    difference: str
    n_trainable: int
    n_edges: int
    depth: int
    is_connected: bool
    search_error: str
    place: float
    low: float
    high: float
    zero: float

    @property
    def is_first(self) -> bool:
        """Whether the line is the one that the table is about."""
        return self.verdict is None


def lines(table: FinalTable) -> list[Line]:
    """The lines of a table.

    Rows of one topology are one line if they have one error too: they may have been trained in different ways.
    """
    groups: dict[tuple[str, float], list[Row]] = {}
    for row in table.by_error:
        groups.setdefault((row.topology.digest, row.error.mean), []).append(row)
    scale = _Scale.of(table.rows)
    found: list[Line] = []
    for place, rows in enumerate(groups.values(), 1):
        error = significant(rows[0].error.mean)
        rank = found[-1].rank if found and found[-1].error == error else place
        found.append(_line(rank, rows, table, scale))
    return found


def _line(rank: int, rows: Sequence[Row], table: FinalTable, scale: _Scale) -> Line:
    row = next((one for one in rows if one is table.first), rows[0])
    apart = row.difference
    return Line(
        rank=rank,
        names=tuple(one.name for one in rows),
        members=tuple(dict.fromkeys(one.label for one in rows if one.label)),
        verdict=table.verdicts.get(row.name),
        error=significant(row.error.mean),
        difference="the baseline" if table.baseline in rows or apart is None else difference(apart),
        n_trainable=row.topology.n_trainable,
        n_edges=row.topology.n_edges,
        depth=row.topology.depth,
        is_connected=row.topology.is_connected,
        search_error=significant(row.search_error),
        place=scale(apart.mean if apart else 0.0),
        low=scale(apart.low if apart else 0.0),
        high=scale(apart.high if apart else 0.0),
        zero=scale(0.0),
    )


@dataclass(frozen=True)
class _Scale:
    """Differences from the baseline as parts of a hundred; what is worse by more than the baseline's error is cut."""

    least: float
    most: float

    @staticmethod
    def of(rows: Sequence[Row]) -> _Scale:
        known = [row.difference for row in rows if row.difference is not None]
        least, most = min([0.0, *(one.low for one in known)]), max([0.0, *(one.high for one in known)])
        baseline = next(row.error.mean for row in rows if row.difference is None)
        if baseline > 0:
            least, most = max(least, -baseline), min(most, baseline)
        margin = 0.04 * (most - least) or 1.0
        return _Scale(least - margin, most + margin)

    def __call__(self, value: float) -> float:
        return round(100 * min(max((value - self.least) / (self.most - self.least), 0.0), 1.0), 2)
