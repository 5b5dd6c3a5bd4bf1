"""Tables for other programs, as text in CSV: every candidate, the trials of a family, and the final table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluators.proxies.registry import CONTROL
from evo.algorithm.nsga2 import Policy
from evo.storage import names
from evo.storage.history import History
from evo.storage.records import ScoreRecord

_CHOSEN = ("learning_rate", "weight_decay")
_CANDIDATE = ("phase", "number", "generation", "parents", "operator", "family", "error", *_CHOSEN)
_TRIAL = ("number", "member", "error", *_CHOSEN)
_ABOUT = ("n_trainable", "n_edges", "depth", "seconds", "device", "digest", "failure")
_ROW = ("topology", "member", "n_trainable", "n_edges", "depth", *_CHOSEN, "error", "error_low", "error_high")
_FINALIST = ("number", "digest", "search_error", "retrained_error", "gap")
_DIFFERENCE = ("difference", "low", "high")


def candidates_csv(history: History) -> str:
    """Every candidate of evolution and of random search, in order of breeding, with its error on the search targets."""
    rows = [
        {
            **_about(record),
            "phase": record.phase,
            "generation": record.origin.generation,
            "parents": " ".join(map(str, record.origin.parents)),
            "operator": record.origin.operator,
            "family": record.origin.family,
        }
        for policy in Policy
        for record in history.scores(policy.value)
    ]
    return _csv((*_CANDIDATE, *_ABOUT, *CONTROL), rows)


def trials_csv(history: History, family: str) -> str:
    """Every member of a family that was tried while tuning it."""
    trials = history.scores(names.tuning(family))
    return _csv((*_TRIAL, *_ABOUT, *CONTROL), [{**_about(one), "member": one.origin.label} for one in trials])


def final_table_csv(history: History) -> str:
    """The final table with 95 % intervals; differences are from the baseline, paired over the targets."""
    rows: list[dict[str, Any]] = []
    for row in history.table.rows if history.table else ():
        counts = (row.topology.n_trainable, row.topology.n_edges, row.topology.depth)
        error = (row.error.mean, row.error.low, row.error.high)
        values = dict(
            zip(_ROW, (row.name, row.label, *counts, row.learning_rate, row.weight_decay, *error), strict=True)
        )
        if row.difference:
            ends = (row.difference.mean, row.difference.low, row.difference.high)
            values |= dict(zip(_DIFFERENCE, ends, strict=True))
        values["search_error"] = row.search_error
        rows.append(values | _control(history.scores(names.test(row.name))[0]))
    return _csv((*_ROW, *_DIFFERENCE, "search_error", *CONTROL), rows)


def finalists_csv(history: History) -> str:
    """The finalists of a search on data: the error in the search, and the error of new trainings on validation data."""
    rows = [
        {
            "number": before.number,
            "digest": before.digest,
            "search_error": before.error,
            "retrained_error": after.error,
            "gap": after.error - before.error,
        }
        for before, after in history.retrained
    ]
    return _csv(_FINALIST, rows)


def _about(record: ScoreRecord) -> dict[str, Any]:
    """What every table of scores says of a topology; a failure has no error."""
    score = record.score
    return {
        "number": record.number,
        "error": score and score.error,
        "learning_rate": score and score.learning_rate,
        "weight_decay": score and score.weight_decay,
        **{name: getattr(record, name) for name in _ABOUT},
        **_control(record),
    }


def _control(record: ScoreRecord) -> dict[str, float]:
    """Total and unfairness of uniform K, where they were noted; the total is noted with the other sign."""
    signs = {"controllability": -1, "unfairness": 1}
    return {name: sign * record.measures[name] for name, sign in signs.items() if name in record.measures}


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
