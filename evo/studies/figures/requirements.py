"""Topologies beside the paper's four requirements (section VII-E), below their controllability K (Fig. 5)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from rich import box
from rich.table import Table

from evaluators.controllability.evaluator import Controllability
from evo.report.pictures import control_maps
from evo.report.requirements import Standing, standings
from evo.storage.history import History
from evo.studies.figures.findings import settings_of
from evo.studies.figures.study import TEST, cells, expression_of
from topologies.stack import the_topology
from topologies.topology import Topology

_WORDS = {True: "yes", False: "no", None: ""}
_COLOURED = {True: "[green]yes[/]", False: "[red]no [/]", None: ""}
_MARKS = {True: "✓", False: "✗", None: "–"}


@dataclass(frozen=True)
class Judged:
    """A topology of a study, what names it, and how it stands to each requirement."""

    name: str
    topology: Topology
    standings: tuple[Standing, ...]


def judged(history: History) -> tuple[Judged, ...]:
    """The topologies that are known, in the order of the recipe."""
    settings = settings_of(history)
    known = {one.number: the_topology(one.topology, "a point") for one in history.scores(TEST)}
    names = {cell.number: expression_of(settings, cell) for cell in cells(settings) if cell.number in known}
    return tuple(Judged(name, known[at], standings(known[at], name)) for at, name in names.items())


def requirements_figure(found: Sequence[Judged]) -> Figure:
    """K of every topology, and below it the requirements with the number behind each."""
    notes = {
        one.name: [f"{_MARKS[each.is_met]} {each.requirement}: {each.number}" for each in one.standings]
        for one in found
    }
    return control_maps({one.name: one.topology for one in found}, notes=notes)


def requirements_csv(found: Sequence[Judged]) -> str:
    """A row for every requirement of every topology."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("topology", "parameters", "edges", "depth", "control", "requirement", "number", "meaning", "met"))
    for one in found:
        control = round(Controllability().analyse(one.topology).total, 6)
        about = [one.name, one.topology.n_trainable, one.topology.n_edges, one.topology.depth, control]
        for each in one.standings:
            writer.writerow([*about, each.requirement, each.number, each.meaning, _WORDS[each.is_met]])
    return text.getvalue()


def requirements_table(found: Sequence[Judged], title: str) -> Table:
    """A row for every topology, for the terminal; the numbers are those of :func:`requirements_csv`."""
    shown = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left", padding=(0, 1, 0, 0))
    shown.add_column("topology", overflow="fold")
    for heading in ("skip edges", "variance of K", "depth", "bandwidth"):
        shown.add_column(heading, no_wrap=True)
    for one in found:
        cells = (f"{_COLOURED[each.is_met]} {each.number}".strip() for each in one.standings)
        shown.add_row(one.name, *cells)
    shown.caption = (
        "yes: the requirement is met. Of depth and bandwidth the second numbers are those of its family with twice the "
        "trained edges, and with as few as connect everything."
    )
    return shown
