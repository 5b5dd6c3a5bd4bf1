"""What is worth keeping of a run beside its journal: the champion in every form, pictures, tables, and the report."""

from __future__ import annotations

import shutil
from pathlib import Path

from evo.algorithm.nsga2 import Policy
from evo.kinds import check_is_search
from evo.report import figures, pictures
from evo.report.csv_tables import candidates_csv, final_table_csv, finalists_csv
from evo.report.html.page import SHOWN, report_page
from evo.report.text import FILES, REPORT
from evo.storage.history import History
from topologies.draw import draw_masks, draw_topology
from topologies.files import load
from topologies.masks import save_masks
from topologies.names import CHAMPION
from topologies.topology import Topology


def write_report(folder: Path) -> Path:
    """Write the report of a run into its own folder, with tables and pictures beside it; returns the page's path.

    Raises
    ------
    ValueError
        When the folder is not a search's, or cannot be written.
    """
    history = History.of(folder)
    check_is_search(folder, history.settings)
    try:
        write_artifacts(history, history.folder)
    except OSError as error:
        raise ValueError(f"the report cannot be written into {folder}: {error.strerror}") from error
    return history.folder / REPORT


def write_artifacts(history: History, folder: Path) -> None:
    """Write the files that :data:`evo.report.text.FILES` names into a folder, as far as the run got, the page last.

    Of a run whose report is up to date they are copied.
    """
    if folder != history.folder and is_up_to_date(history):
        for name in FILES:
            if (history.folder / name).is_file():
                shutil.copyfile(history.folder / name, folder / name)
        return
    (folder / "candidates.csv").write_text(candidates_csv(history), encoding="utf-8")
    if history.generations(Policy.EVOLUTION):
        figures.progress(history).savefig(folder / "progress.png")
        figures.front(history).savefig(folder / "front.png")
    if history.champion_file.is_file():
        _write_champion(history, folder)
    if history.table:
        _write_results(history, folder)
    drawn = {name: (folder / name).read_bytes() for name in SHOWN if (folder / name).is_file()}
    (folder / REPORT).write_text(report_page(history, drawn), encoding="utf-8")


def is_up_to_date(history: History) -> bool:
    """Whether a finished run's folder has the report of its result, whose digest is on the page."""
    page = history.folder / REPORT
    return history.result is not None and page.is_file() and history.result.digest in page.read_text(encoding="utf-8")


def _write_champion(history: History, folder: Path) -> None:
    topology = load(history.champion_file)
    title = f"The champion of {history.folder.name}"
    save_masks(topology, folder / "masks.npz")
    draw_topology(topology, title).savefig(folder / "topology.png")
    draw_masks(topology, title).savefig(folder / "masks.png")
    if folder != history.folder:
        for name in (CHAMPION, *history.row_files):
            shutil.copyfile(history.folder / name, folder / name)


def _write_results(history: History, folder: Path) -> None:
    table = history.table
    assert table is not None
    (folder / "final_table.csv").write_text(final_table_csv(history), encoding="utf-8")
    if history.retrained:
        (folder / "finalists.csv").write_text(finalists_csv(history), encoding="utf-8")
    figures.final_table(history).savefig(folder / "final_table.png")
    champion, baseline = table.first.topology, table.baseline
    maps = pictures.control_difference(table.first.name, champion, baseline.name, baseline.topology)
    maps.savefig(folder / "controllability.png")
    if isinstance(champion, Topology):  # a stack is no one matrix that could be reconstructed
        errors = pictures.errors_beside_control({table.first.name: champion}, history.settings["seed"])
        errors.savefig(folder / "entry_errors.png")
