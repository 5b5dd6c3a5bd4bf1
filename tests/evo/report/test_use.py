"""The best row of a table can be used, evolved or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluators.task import Fidelity, Score, Split
from evo.experiment.compare import verify
from evo.experiment.search import search
from evo.recipe import validate
from evo.report.text import founder_words
from evo.report.use import other_words
from evo.storage.champion import BEST_ROW, UNSEARCHED_ROW, rows_kept
from evo.storage.history import History
from evo.storage.results import FinalTable
from tests.evo.histories import with_test_errors
from tests.fakes import HashEvaluator, recipe
from topologies import Topology, load


class Level:
    """Every topology has the same error."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        return Score((0.5,) * fidelity.targets, fidelity.rates[0])


class LevelOnTest(HashEvaluator):
    """Topologies differ but on test targets."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        return (Level() if split is Split.TEST else super()).evaluate(topology, fidelity, split, seed)


def test_the_best_row_is_kept_as_a_file_that_verifies(tmp_path: Path) -> None:
    found = search(recipe(), HashEvaluator(), folder=tmp_path / "run")
    best = min(found.table.rows, key=lambda row: row.error.mean)
    assert best is not found.table.first and found.row_files[BEST_ROW] == tmp_path / "run" / BEST_ROW
    assert load(found.row_files[BEST_ROW]).digest == best.topology.digest
    assert History.of(found.folder).row_files == found.row_files
    again = verify(found.row_files[BEST_ROW], HashEvaluator())
    assert again.found.mean == again.stated == best.error.mean


def test_where_the_champion_is_best_there_is_no_other_file(tmp_path: Path) -> None:
    (tmp_path / BEST_ROW).write_bytes(b"of the search before it was extended")
    found = search(recipe(loop={"generations": 1}), Level(), folder=tmp_path)
    assert BEST_ROW not in found.row_files and not (tmp_path / BEST_ROW).exists()
    assert other_words(found.table, "butterfly", found.row_files, recipe()) == []


def test_what_the_words_say_to_use_has_a_file(tmp_path: Path) -> None:
    found = search(recipe(seed=5), LevelOnTest(), folder=tmp_path)
    words = founder_words(found.table, found.founder)
    assert found.founder is None and words is not None and words.endswith(": use that.")
    (row,) = (row for row in found.table.others if row.label and row.label in words)
    file = found.row_files[UNSEARCHED_ROW]
    assert load(file).digest == row.topology.digest and History.of(tmp_path).row_files[UNSEARCHED_ROW] == file
    assert verify(file, LevelOnTest()).found.mean == row.error.mean
    ((told, _),) = other_words(found.table, found.founder, found.row_files, recipe())
    assert f"use the {row.name}." in told and str(file) in told


def with_best(finished: History, row: str) -> FinalTable:
    """The table of the run in which a row is better than all others."""
    table = with_test_errors(finished, {row: 0.001 + 0.0001 * np.arange(12)}).table
    assert table is not None
    return table


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("Clos", "In place of the champion, which is no better, use the Clos."),
        ("random search", "The least error is that of the random search"),
    ],
)
def test_the_lines_that_use_it_need_no_file_where_it_has_a_name(finished: History, row: str, said: str) -> None:
    table = with_best(finished, row)
    files = dict.fromkeys(rows_kept(table, finished.founder is not None), finished.champion_file)
    *_, (words, lines) = other_words(table, finished.founder, files, validate(finished.settings))
    assert words.startswith(said)
    assert any(table.best.label in line for line in lines) == (row == "Clos")
    assert any(str(finished.champion_file) in line for line in lines) == (row != "Clos")
    if row == "Clos":
        values: dict[str, Any] = {}
        exec("\n".join(lines[:2]), values)
        assert values["layer"].edge_weight.numel() == table.best.topology.n_trainable


def test_what_is_better_than_the_champion_is_shown_beside_what_needs_no_search(finished: History) -> None:
    worse = {name: 0.1 + 0.0001 * np.arange(12) for name in ("evolved champion", "random search", "Clos")}
    worse |= {"random search": worse["random search"] - 0.09, "Clos": worse["Clos"] - 0.08}
    table = with_test_errors(finished, worse).table
    assert table is not None
    kept = rows_kept(table, is_founder=False)
    files = {name: Path(name) for name in kept}
    told = [words for words, _ in other_words(table, None, files, validate(finished.settings))]
    assert [kept[name].name for name in (UNSEARCHED_ROW, BEST_ROW)] == ["Clos", "random search"]
    assert "use the Clos" in told[0] and UNSEARCHED_ROW in told[0]
    assert "of the random search" in told[1] and "champion is worse than it" in told[1] and BEST_ROW in told[1]


def test_what_is_level_with_a_champion_that_is_beaten_is_not_said_to_be_the_one_to_use(finished: History) -> None:
    rows = {row.name: np.asarray(row.errors) for row in finished.table.rows} if finished.table else {}
    level = {name: 0.1 + 0.001 * np.arange(12) for name in rows}
    table = with_test_errors(finished, level | {"random search": 0.05 + 0.0011 * np.arange(12)}).table
    assert table is not None and table.unsearched(is_founder=False) is None
    level_alone = with_test_errors(finished, level).table
    assert level_alone is not None and level_alone.unsearched(is_founder=False) is not None
    assert level_alone.unsearched(is_founder=True) is None
