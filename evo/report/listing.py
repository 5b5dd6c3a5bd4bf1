"""The runs in a folder, as their journals tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evo.algorithm.nsga2 import Policy
from evo.storage.header import JOURNAL
from evo.storage.history import History


@dataclass(frozen=True)
class RunSummary:
    """One run: its folder's name, its state in one word, what it has found, and its result digest."""

    name: str
    state: str
    births: int
    best: float | None
    baseline: float | None
    digest: str | None


def runs(folder: Path) -> list[RunSummary]:
    """All runs in a folder, by name; one whose journal cannot be read is listed as "damaged"."""
    return [_summary(path.parent) for path in sorted(folder.glob(f"*/{JOURNAL}"))]


def _summary(folder: Path) -> RunSummary:
    try:
        history = History.of(folder)
    except ValueError:
        return RunSummary(folder.name, "damaged", 0, None, None, None)
    broods = history.broods(Policy.EVOLUTION)
    births = broods[-1]["births"] if broods else 0
    if history.table:
        champion, baseline = (row["error"]["mean"] for row in history.table["rows"][:2])
        return RunSummary(folder.name, "finished", births, champion, baseline, history.table["digest"])
    best, baseline = (broods[-1]["best"], broods[-1]["baseline"]) if broods else (None, None)
    state = {"KILLED": "stopped"}.get(history.status, history.status.lower())
    return RunSummary(folder.name, state, births, best, baseline, None)
