"""What is worth keeping of a run beside its journal: the champion in every form, pictures, and tables."""

from __future__ import annotations

from pathlib import Path

from evo.algorithm.nsga2 import Policy
from evo.report import figures, pictures
from evo.report.csv_tables import candidates_csv, final_table_csv, finalists_csv
from evo.storage.history import History
from topologies.draw import draw_masks, draw_topology
from topologies.files import load
from topologies.masks import save_masks
from topologies.stack import by_place
from topologies.topology import Topology


def write_artifacts(history: History, folder: Path) -> None:
    """Write the files that :data:`evo.report.text.FILES` names into an empty folder, as far as the run got."""
    (folder / "candidates.csv").write_text(candidates_csv(history), encoding="utf-8")
    if history.generations(Policy.EVOLUTION):
        figures.progress(history).savefig(folder / "progress.png")
        figures.front(history).savefig(folder / "front.png")
    if history.champion_file.is_file():
        topology = load(history.champion_file)
        title = f"The champion of {history.folder.name}"
        (folder / "champion.safetensors").write_bytes(history.champion_file.read_bytes())
        save_masks(topology, folder / "masks.npz")
        draw_topology(topology, title).savefig(folder / "topology.png")
        draw_masks(topology, title).savefig(folder / "masks.png")
    if history.table:
        table = history.table
        (folder / "final_table.csv").write_text(final_table_csv(history), encoding="utf-8")
        if history.retrained:
            (folder / "finalists.csv").write_text(finalists_csv(history), encoding="utf-8")
        figures.final_table(history).savefig(folder / "final_table.png")
        both = {row.name: row.topology for row in (table.first, table.baseline)}
        pictures.control_maps(by_place(both)).savefig(folder / "controllability.png")
        champion = table.first.topology
        if isinstance(champion, Topology):  # a stack is no one matrix that could be reconstructed
            errors = pictures.errors_beside_control({table.first.name: champion}, history.settings["seed"])
            errors.savefig(folder / "entry_errors.png")
