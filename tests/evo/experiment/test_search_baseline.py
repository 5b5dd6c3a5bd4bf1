"""The baseline of a search: one of the user's own, the parallel butterfly, or what stands in for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import evo.experiment.baselines
import evo.storage.pools
import evo.storage.run
from evaluators.task import Split
from evo.experiment.compare import verify
from evo.storage.header import records_of
from evo.storage.names import BASELINES, EVOLVED, PARALLEL_BUTTERFLY
from evo.storage.records import (
    TableRecord,
)
from tests.evo.experiment.searches import generations, run, scores
from tests.fakes import SEED, HashEvaluator, recipe
from topologies.canonical import canonical
from topologies.expression import parse
from topologies.files import read as read_file

BASELINE = BASELINES[PARALLEL_BUTTERFLY]


def test_the_users_own_topologies_and_baseline_take_part(tmp_path: Path) -> None:
    own = canonical(parse("random_regular(8, 8, 8, 3, 3, 5)"))
    own.save(tmp_path / "mine.safetensors")
    settings = recipe(
        budget=own.n_trainable,
        initial_population=[str(tmp_path / "mine.safetensors"), "butterfly(8, 3)"],
        baseline="clos(8, 2, 3, 2)",
        bounds={"max_edges": 200, "max_depth": 6},
    )
    mine = run(tmp_path / "run", settings)
    assert [one.origin.family for one in mine.scores("evolution")[:3]].count("own") == 2
    assert mine.scores("evolution")[0].digest == own.digest
    assert mine.result.table.baseline.topology == canonical(parse("clos(8, 2, 3, 2)"))


def test_a_baseline_with_few_edges_leaves_room_for_champions_of_the_whole_budget(tmp_path: Path) -> None:
    settings = recipe(budget=48, baseline="clos(8, 2, 2, 2)", bounds={"max_depth": 6})
    assert parse("clos(8, 2, 2, 2)").n_edges < 48
    found = run(tmp_path / "run", settings)
    assert all(one.best is not None for one in generations(tmp_path / "run", "evolution"))
    assert len(scores(tmp_path / "run", f"validation: {EVOLVED}")) == settings.fidelity.finalists
    assert found.result.champion.n_trainable > parse("clos(8, 2, 2, 2)").n_trainable


@pytest.mark.parametrize(
    "changes",
    [{"n_in": 13, "n_out": 17, "budget": 100}, {"n_in": 3, "n_out": 64, "budget": 90}, {"budget": 20}],
    ids=["13x17", "3x64", "8x8"],
)
def test_where_the_parallel_butterfly_has_no_member_the_best_other_family_is_the_baseline(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    settings = recipe(**changes, loop={"generations": 1, "offspring": 4}, tuning={"trials": 6})
    found = run(tmp_path / "run", settings)
    table = found.result.table
    assert scores(tmp_path / "run", "tune parallel_butterfly") == []
    assert table.get(BASELINE) is None
    assert [row.name for row in table.rows][:2] == [EVOLVED, table.baseline_name]
    assert (table.rows[1], table.baseline.difference) == (table.baseline, None)
    assert all(row.difference is not None for row in table.rows if row.name != table.baseline_name)

    derived = [row for row in table.rows if row.name in set(BASELINES.values()) - {"random regular"}]
    connected = {row.name: row.topology for row in derived if row.topology.is_connected}
    errors = {
        name: HashEvaluator().evaluate(one, settings.fidelity.validation, Split.VALIDATION, SEED).error
        for name, one in connected.items()
    }
    assert table.baseline_name == min(errors, key=errors.__getitem__)
    row = next(one for one in records_of(tmp_path / "run") if isinstance(one, TableRecord))
    assert row.baseline == table.baseline_name
    _, provenance = read_file(found.result.champion_file)
    stated = provenance.scores["test"]
    assert isinstance(stated, dict)
    assert (stated["baseline"], stated["baseline label"]) == (table.baseline.error.mean, table.baseline.label)
    checked = verify(found.result.folder, HashEvaluator())
    assert checked.agrees and checked.found.mean == checked.stated == table.first.error.mean


def test_where_no_family_has_a_member_there_is_no_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evo.experiment.baselines, "candidates", lambda *arguments: [])
    words = (
        "there is no baseline: no hand-derived family has a connected member of 8 x 8 with at most 40 trainable "
        "edges; raise the budget, or give a baseline in the recipe"
    )
    with pytest.raises(ValueError, match=f"^{words}$"):
        run(tmp_path, recipe())
