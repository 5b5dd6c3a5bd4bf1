"""Runs to tell of: a small real search whose evaluator is a formula, and journals made from its journal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluators.task import Fidelity, Score, Split
from evo.settings import Settings
from evo.storage.header import JOURNAL
from evo.storage.history import History
from evo.storage.journal import Journal, Record
from tests.fakes import recipe
from topologies.names import CHAMPION
from topologies.topology import Topology


class Formula:
    """Scores that follow from the digest; about one in sixteen candidates fails on the search's targets."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        if split is Split.SEARCH and topology.digest.startswith("7"):
            raise RuntimeError("the formula does not know this topology")
        base = 0.1 + 0.1 * int(topology.digest[:6], 16) / 16**6
        key = np.random.default_rng([seed, len(split), int(topology.digest[:8], 16)])
        noise = key.normal(0, 0.01, 64)[: fidelity.targets]
        return Score(tuple(float(error) for error in base + noise), fidelity.rates[-1])


def small(runs: Path, **changes: Any) -> Settings:
    """The recipe of the small search."""
    fidelity = {"targets": 3, "validation_targets": 4, "test_targets": 12}
    return recipe(name="small", runs=str(runs), tuning={"trials": 5}, fidelity=fidelity, **changes)


def rewritten(history: History, folder: Path, records: Sequence[Record] | None = None) -> History:
    """A folder with the champion of ``history`` and a journal of other records, and what it says."""
    folder.mkdir(parents=True)
    header, *rest = history.records if records is None else records
    with Journal(folder / JOURNAL, {name: value for name, value in header.items() if name != "version"}) as journal:
        journal.append(rest)
    (folder / CHAMPION).write_bytes(history.champion_file.read_bytes())
    return History.of(folder)


def with_held_out(history: History, errors: dict[str, Sequence[float]]) -> History:
    """The history with other test errors for some rows of the table, and the table that follows from them."""
    changed: list[Record] = json.loads(json.dumps(history.records))
    for record in changed:
        kind = record.get("phase", "").removeprefix("test: ")
        if record["kind"] == "score" and kind in errors:
            record["errors"] = [float(error) for error in errors[kind]]
    return History(history.folder, tuple(changed))
