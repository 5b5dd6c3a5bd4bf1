"""Runs whose journals hold what a comparison needs, so that a baseline is not tuned twice."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from evo.settings import Settings
from evo.storage.header import JOURNAL, outcome_settings, records_of
from evo.storage.journal import first
from evo.storage.records import Header

_DECISIVE = (
    "n_in",
    "n_out",
    "places",
    "budget",
    "seed",
    "evaluator",
    "search_by",
    "training",
    "targets",
    "found",
    "fidelity",
    "tuning",
)
"""The settings that decide what is evaluated of the hand-derived families, and how."""


def run_of(names: Iterable[str | Path]) -> Path | None:
    """The first run among names of topologies: a run's folder, or the folder of a file in one; or None.

    An expression is no file, and so not of the run that it may be asked for in.
    """
    for name in map(Path, names):
        for folder in (name, name.parent):
            if (folder != Path() or name.exists()) and (folder / JOURNAL).is_file():
                return folder
    return None


def with_known_scores(settings: Settings) -> Settings:
    """The settings, with the scores of the newest run in their folder that tunes the same families in the same way.

    A score is taken only where it would be computed anew with the same result, as with ``reuse_from``.
    """
    if settings.reuse_from:
        return settings
    wanted = _decisive(outcome_settings(settings))
    journals = sorted(settings.runs.glob(f"*/{JOURNAL}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for journal in journals:
        header = first(journal)
        if isinstance(header, Header) and not header.from_python and _decisive(header.settings) == wanted:
            with suppress(ValueError):  # a damaged journal that nobody named is passed over
                records_of(journal.parent)
                return settings.model_copy(update={"reuse_from": (journal.parent,)})
    return settings


def _decisive(settings: dict[str, object]) -> list[object]:
    return [settings.get(key) for key in _DECISIVE]
