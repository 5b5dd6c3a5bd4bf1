"""The runs in a folder, as their journals tell."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from pathlib import Path

from evo.journal import Record, read
from evo.run import JOURNAL


@dataclass(frozen=True)
class RunSummary:
    """One run: its folder's name, "running", "finished" or "stopped", what it has found, and its result digest."""

    name: str
    state: str
    births: int
    best: float | None
    baseline: float | None
    digest: str | None


def runs(folder: Path) -> list[RunSummary]:
    """All runs in a folder, by name; one whose journal cannot be read is listed as "damaged"."""
    return [_summary(path) for path in sorted(folder.glob(f"*/{JOURNAL}"))]


def _summary(path: Path) -> RunSummary:
    name = path.parent.name
    try:
        records, _ = read(path)
    except ValueError:
        return RunSummary(name, "damaged", 0, None, None, None)
    table = next((record for record in records if record["kind"] == "table"), None)
    broods = [record for record in records if record["kind"] == "brood" and record["phase"] == "evolution"]
    births = broods[-1]["births"] if broods else 0
    if table is not None:
        champion, baseline = (row["error"]["mean"] for row in table["rows"][:2])
        return RunSummary(name, "finished", births, champion, baseline, table["digest"])
    last: Record = broods[-1] if broods else {"best": None, "baseline": None}
    return RunSummary(name, "running" if _is_locked(path) else "stopped", births, last["best"], last["baseline"], None)


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False
