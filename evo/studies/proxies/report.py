"""A study of proxies for people: tables, files, and what tracking should hold of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table

from evo.report.correlation import Estimate
from evo.report.words import error_name
from evo.storage.history import History
from evo.studies.proxies.findings import Finding, findings, ranking, samples
from evo.tracking.records import Point, RunRecord, run_record
from evo.tracking.store import Store
from evo.tracking.store import track as tracked

FILES = {
    "findings.csv": "how well every score predicts at every budget, with 95 % intervals, and what it costs",
    "sample.csv": "every topology's family, error and scores",
    "correlations.png": "Spearman's correlation of every score with the error",
    "best_scores.png": "the error against the best scores, by family",
}
"""What is kept of a study, and what each file is."""

_ESTIMATES = ("spearman", "kendall", "at_equal_rank", "from_null_model")


def findings_csv(found: tuple[Finding, ...]) -> str:
    """A row for every score at every budget; fields are those of :class:`evo.studies.proxies.findings.Finding`."""
    ends = [f"{name}{end}" for name in _ESTIMATES for end in ("", "_low", "_high")]
    rows: list[list[object]] = [["budget", "score", "trains", *ends, "pairs", "ms", "cost"]]
    for one in found:
        estimates: list[Estimate] = [getattr(one, name) for name in _ESTIMATES]
        values = [value for each in estimates for value in (each.value, each.low, each.high)]
        cells = ["" if np.isnan(value) else value for value in (*values, one.pairs, one.ms, one.cost)]
        rows.append([one.budget, one.score, one.trains, *cells])
    return _csv(rows)


def sample_csv(history: History) -> str:
    """A row for every topology; ``null_model_worse`` is its control's error less its own, 0 if not told apart."""
    rows: list[list[object]] = []
    for sample in samples(history):
        names = list(sample.scores)
        rows = rows or [["budget", "family", "error", "null_model_worse", *names]]
        columns = zip(*(sample.scores[name].original for name in names), strict=True)
        for family, error, worse, values in zip(sample.families, sample.errors, sample.worse, columns, strict=True):
            rows.append([sample.budget, family, error, worse, *values])
    return _csv(rows)


def findings_tables(found: tuple[Finding, ...]) -> Iterator[Table]:
    """A table for the terminal for each budget, the best scores over all budgets on top; 80 columns wide."""
    order = ranking(found)
    for budget in sorted({one.budget for one in found}):
        of_budget = sorted((one for one in found if one.budget == budget), key=lambda one: order.index(one.score))
        table = Table(
            title=f"Budget {budget}: how well scores predict the error",
            caption="at rank: Kendall's tau over pairs of equal tangent rank; control: rightly told\n"
            f"from the null model ({of_budget[0].pairs} pairs differ); cost: of computing an error",
            box=box.SIMPLE_HEAD,
            title_justify="left",
            caption_justify="left",
            padding=0,
        )
        table.add_column("score", no_wrap=True)
        for heading in ("Spearman", "95 %", "Kendall", "at rank", "control", "cost"):
            table.add_column(heading, justify="right", no_wrap=True)
        for one in of_budget:
            ends = f"{one.spearman.low:+.2f} {one.spearman.high:+.2f}" if np.isfinite(one.spearman.low) else ""
            told = f"{one.from_null_model.value:.0%}" if one.pairs else "–"
            name = f"[dim]{one.score}[/dim]" if one.trains else one.score
            numbers = (_signed(one.spearman), ends, _signed(one.kendall), _signed(one.at_equal_rank))
            table.add_row(name, *numbers, told, _cost(one.cost))
        yield table


def track(folder: Path, uri: str | None = None) -> str:
    """File a study in MLflow, as one record; for arguments and errors see :func:`evo.tracking.store.track`."""

    def show(store: Store, history: History) -> str:
        """The study's record, with its files as artifacts."""
        return store.file(record(history), partial(write, history))

    return tracked(folder, uri, show)


def write(history: History, folder: Path) -> None:
    """Write the files that :data:`FILES` names, as far as the study got."""
    from evo.studies.proxies import pictures as proxy_pictures

    found = samples(history)
    if found:
        results = findings(found)
        (folder / "findings.csv").write_text(findings_csv(results), encoding="utf-8")
        (folder / "sample.csv").write_text(sample_csv(history), encoding="utf-8")
        proxy_pictures.correlations(results).savefig(folder / "correlations.png")
        proxy_pictures.best_scores(found, results, error_name(history.header.evaluator)).savefig(
            folder / "best_scores.png"
        )


def record(history: History) -> RunRecord:
    """A study as one record: estimates with the budget as step, and in words which scores are best."""
    found = findings(samples(history))
    points = [
        Point(f"{group}/{one.score}", float(value), one.budget, history.header.time)
        for one in found
        for group, value in (*((name, getattr(one, name).value) for name in _ESTIMATES), ("ms", one.ms))
        if np.isfinite(value)
    ]
    return run_record(history, tuple(points), {"mlflow.note.content": _note(history, found), "role": "study of scores"})


def _note(history: History, found: tuple[Finding, ...]) -> str:
    settings, errors = history.settings, error_name(history.header.evaluator)
    told = (
        f"How well scores that need no target matrices predict the {errors} "
        f"of {settings['sample_size']} topologies of {history.size.replace('x', ' × ')} at each of the budgets "
        f"{_list(settings['budgets'])}."
    )
    order = [name for name in ranking(found) if not any(one.trains for one in found if one.score == name)]
    if not order:
        return f"{told} Nothing is complete yet."
    best = [one for one in found if one.score == order[0]]
    values = ", ".join(f"{one.spearman.value:.2f}" for one in best)
    told += f" Best is **{order[0]}** with Spearman correlations of {values}, then {_list(order[1:4])}."
    files = "\n".join(f"- `{name}`: {meaning}" for name, meaning in FILES.items())
    return f"{told}\n\n#### Files, under Artifacts\n\n{files}\n\nThe run's folder is `{history.folder}`."


def _signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.2f}" if np.isfinite(estimate.value) else "–"


def _cost(part: float) -> str:
    """What a score costs, as a part of what an error does; unknown where no error was computed."""
    if np.isnan(part):
        return "–"
    return f"{part:.2%}" if part < 10 else f"{part:.0f} x"


def _list(names: list[object] | list[str]) -> str:
    return ", ".join(map(str, names))


def _csv(rows: list[list[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
