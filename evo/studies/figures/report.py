"""A study of a figure for people: its figure and table as files, a table for the terminal, a record for tracking."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from rich import box
from rich.table import Table

from evo.report.numbers import difference, significant
from evo.report.words import error_name
from evo.storage.history import History
from evo.studies.figures.findings import Point, beside_controls, points, settings_of
from evo.tracking.records import Point as MetricPoint
from evo.tracking.records import RunRecord, run_record
from evo.tracking.store import Store
from evo.tracking.store import track as tracked

_COLUMNS = ("series", "layer", "value", "parameters", "edges", "depth", "error", "error_low", "error_high")
_MORE = (
    "minus_shuffled",
    "minus_shuffled_low",
    "minus_shuffled_high",
    "learning_rate",
    "weight_decay",
    "errors",
    "seconds",
    "failure",
)


def table_csv(found: tuple[Point, ...]) -> str:
    """A row for every point, with its mean error, 95 % interval and single errors."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *_MORE])
    for one in found:
        error, apart = ([""] * 3 if it is None else [it.mean, it.low, it.high] for it in (one.error, one.apart))
        chosen = ["" if value is None else value for value in (one.learning_rate, one.weight_decay)]
        errors = " ".join(map(str, one.errors))
        about = [one.series, one.layer, one.value, one.parameters, one.edges, one.depth]
        writer.writerow([*about, *error, *apart, *chosen, errors, round(one.seconds, 3), one.failure or ""])
    return text.getvalue()


def table(history: History) -> Table:
    """The points for the terminal, a row each; or how they stand to the paper's requirements."""
    settings = settings_of(history)
    if settings.picture == "requirements":
        from evo.studies.figures.requirements import judged, requirements_table

        return requirements_table(judged(history), settings.title)
    shown = Table(
        title=settings.title, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left", padding=(0, 1, 0, 0)
    )
    shown.add_column("series", overflow="fold")
    found, whole = points(history), beside_controls(history)
    for heading in ("value", "parameters", "depth", "error", "95 %", *["minus shuffled"] * bool(whole)):
        shown.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        error = "failed"
        if one.error:
            error = "± unknown" if one.error.is_unknown else f"± {significant(one.error.half_width, 2)}"
        mean = significant(one.error.mean, 3) if one.error else ""
        apart = [difference(one.apart) if one.apart else ""] * bool(whole)
        shown.add_row(one.series, f"{one.value:g}", str(one.parameters), str(one.depth), mean, error, *apart)
    if whole:
        told = "; ".join(f"{name} {difference(one)}" for name, one in whole.items())
        shown.caption = f"Minus the same with its edges shuffled, over all values, paired: {told}"
    return shown


def write(history: History, folder: Path) -> list[Path]:
    """Write the figure and its table, as far as the study got, and return their paths; both bear the recipe's name."""
    from evo.studies.figures.picture import figure
    from evo.studies.figures.requirements import judged, requirements_csv, requirements_figure

    settings, found = settings_of(history), points(history)
    if not any(one.error for one in found):
        return []
    picture, rows = folder / f"{settings.name}.png", folder / f"{settings.name}.csv"
    if settings.picture == "requirements":
        standing = judged(history)
        drawn, text = requirements_figure(standing), requirements_csv(standing)
    else:
        drawn, text = figure(settings, found, error_name(history.header.evaluator)), table_csv(found)
    drawn.savefig(picture)
    rows.write_text(text, encoding="utf-8")
    return [picture, rows]


def track(folder: Path, uri: str | None = None) -> str:
    """File a study in MLflow, as one record; for arguments and errors see :func:`evo.tracking.store.track`."""

    def show(store: Store, history: History) -> str:
        """The study's record, with its files as artifacts."""

        def artifacts(folder: Path) -> None:
            write(history, folder)

        return store.file(record(history), artifacts)

    return tracked(folder, uri, show)


def record(history: History) -> RunRecord:
    """A study as one record: a metric a series, whose steps are the values, or their numbers where one is not whole."""
    settings, told = settings_of(history), points(history)
    is_whole = all(one.value == int(one.value) for one in told)
    metrics, met = [], dict[str, int]()
    for one in told:
        number = met[one.series] = met.get(one.series, -1) + 1
        if one.error is not None:
            step = int(one.value) if is_whole else number
            name = re.sub(r"[^\w\-. :/]", "_", one.series)
            metrics.append(MetricPoint(f"error/{name}", one.error.mean, step, one.time))
    note = f"{settings.title}\n\n`{settings.name}.png` and `{settings.name}.csv` are under Artifacts.\n\n"
    tags = {"mlflow.note.content": note + f"The run's folder is `{history.folder}`.", "role": "study of a figure"}
    return run_record(history, tuple(metrics), tags)
