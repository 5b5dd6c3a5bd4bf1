"""The runs in a folder, as their journals tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evo.algorithm.nsga2 import Policy
from evo.storage.header import JOURNAL
from evo.storage.history import History
from evo.storage.journal import OtherVersionError


@dataclass(frozen=True)
class RunSummary:
    """One run: its folder's name, its state in one word, what it has found, and its result digest."""

    name: str
    state: str
    candidates: int
    best: float | None
    baseline: float | None
    digest: str | None


def runs(folder: Path) -> list[RunSummary]:
    """All runs in a folder, by name; one whose journal cannot be read is listed as "damaged",
    or as of another version."""
    return [_summary(path.parent) for path in sorted(folder.glob(f"*/{JOURNAL}"))]


def _summary(folder: Path) -> RunSummary:
    try:
        history = History.of(folder)
    except OtherVersionError:
        return RunSummary(folder.name, "other version", 0, None, None, None)
    except ValueError:
        return RunSummary(folder.name, "damaged", 0, None, None, None)
    generations = history.generations(Policy.EVOLUTION)
    candidates = generations[-1].candidates if generations else 0
    if history.table and history.result:
        champion, baseline = history.table.first.error.mean, history.table.baseline.error.mean
        return RunSummary(folder.name, "finished", candidates, champion, baseline, history.result.digest)
    best, reference = (generations[-1].best, generations[-1].baseline) if generations else (None, None)
    return RunSummary(folder.name, history.state, candidates, best, reference, None)
