"""The lines of Python that put a champion into a model."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from rich.markup import escape

from evo.experiment.search import Result
from evo.report.text import REPORT, best_row_words
from evo.settings import Settings
from evo.storage.champion import BEST_ROW, UNSEARCHED_ROW, rows_kept
from evo.storage.results import FinalTable, Row, Verdict
from topologies.expression import is_expression, parse
from topologies.stack import AnyTopology, Stack


def how_to_use(result: Result, settings: Settings, store: str | None, is_filed: bool) -> str:
    """The champion's path, how a model uses it, what to use where another row is better, the digest, and where to look.

    ``store`` is the tracking store, None for the database in the folder of runs. Where it is not known that the run
    ``is_filed`` there, or the report is not there, the command that does it is named, too.
    """
    runs, run = escape(str(result.folder.parent)), escape(str(result.folder))
    look = escape(f"in {store}") if store else f'[bold]make ui[/bold], or evofabric ui --runs "{runs}"'
    others = other_words(result.table, result.founder, result.row_files, settings)
    report = result.folder / REPORT
    parts = (
        f"Champion: [bold]{escape(str(result.champion_file))}[/bold]",
        escape(_indented(lines_of_python(result.champion, result.champion_file, settings))),
        *(escape(f"{words}\n\n{_indented(lines)}") for words, lines in others),
        f"Result digest: {result.digest}\n"
        + f"Look at the run in MLflow: {look}\n"
        + ("" if is_filed else f'What MLflow lacks of it: evofabric track "{run}"\n')
        + (f"Report: [bold]{escape(str(report))}[/bold]" if report.is_file() else f'Report: evofabric report "{run}"'),
    )
    return "\n" + "\n\n".join(parts) + "\n"


def other_words(
    table: FinalTable, founder: str | None, files: Mapping[str, Path], settings: Settings
) -> list[tuple[str, list[str]]]:
    """A sentence about each other row that may be used, and the lines that do, as far as it has a file among ``files``.

    That is what needs no search and is as good as the champion, and the best row where there is no such or the champion
    is worse than it. A member of a family is used by its expression, which needs no file.
    """
    kept = {name: row for name, row in rows_kept(table, founder is not None).items() if name in files}
    found = []
    if (row := kept.get(UNSEARCHED_ROW)) is not None:
        told = f"In place of the champion, which is no better, use the {row.name}."
        found.append(_words_and_lines(told, row, files[UNSEARCHED_ROW], settings))
    best = kept.get(BEST_ROW)
    if best is not None and best is not row and (row is None or table.verdicts[best.name] is Verdict.WORSE):
        found.append(_words_and_lines(best_row_words(table), best, files[BEST_ROW], settings))
    return found


def _words_and_lines(told: str, row: Row, file: Path, settings: Settings) -> tuple[str, list[str]]:
    lines = lines_of_python(row.topology, file, settings)
    if settings.training is None and _is_the_name_of(row.label, row.topology):
        lines = [line.replace(str(file), row.label) for line in lines]
    return f"{told} Its file: {file}", lines


def _is_the_name_of(label: str, topology: AnyTopology) -> bool:
    """Whether a row's label is an expression that makes its topology."""
    try:
        return is_expression(label) and parse(label).digest == topology.digest
    except ValueError:
        return False


def _indented(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def lines_of_python(champion: AnyTopology, file: Path, settings: Settings) -> list[str]:
    """Three lines that can be copied: they end with the trained layer's stand-in, or the whole model's."""
    training = settings.training
    if training is None:
        ends = f"torch.nn.Linear({champion.n_in}, {champion.n_out}); x: (..., {champion.n_in})"
        return [
            "from topologies import SparseCascade",
            f'layer = SparseCascade("{file}")',
            f"y = layer(x)  # layer stands in for {ends}",
        ]
    outputs = settings.found.outputs if settings.found and settings.found.outputs else "outputs"
    if training.hidden is None:
        module, _, function = (training.model or "").partition(":")
        return [
            f"import topologies, {module}",
            f"cascades = [topologies.SparseCascade(one) for one in {_places(champion, file)}]",
            f"model = {module}.{function}(cascades, {outputs})",
        ]
    widths = (settings.n_in, *training.hidden)
    if isinstance(champion, Stack):  # widths may have been free
        widths = (champion.n_in, *(n_out for _, n_out in champion.sizes))
    hidden = "".join(f"nn.Linear({a}, {b}), nn.ReLU(), " for a, b in pairwise(widths))
    return [
        "import torch.nn as nn, topologies.models as tm",
        f"model = nn.Sequential({hidden}nn.Linear({widths[-1]}, {outputs}))",
        f'tm.convert(model, "{file}", exclude=["{2 * len(training.hidden)}"])  # all but the head',
    ]


def _places(champion: AnyTopology, file: Path) -> str:
    """Python for the topologies of all places of a champion's file."""
    return f'topologies.load("{file}").places' if isinstance(champion, Stack) else f'[topologies.load("{file}")]'
