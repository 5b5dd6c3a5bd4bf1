"""Uniform K is noted of every candidate, told in every view of a run, and decides nothing."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from evaluators import Controllability
from evaluators.proxies import registry
from evo.algorithm.nsga2 import Policy
from evo.experiment.search import Result, search
from evo.report.csv_tables import candidates_csv, final_table_csv
from evo.storage import names
from evo.storage.header import records_of
from evo.storage.history import History
from evo.storage.records import ScoreRecord
from evo.tracking.records import run_records
from tests.fakes import HashEvaluator, recipe
from topologies.topology import Topology


def run(folder: Path, **changes: Any) -> Result:
    return search(recipe(n_in=6, n_out=6, budget=24, **changes), HashEvaluator(), folder=folder)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(tmp_path_factory.mktemp("noted") / "run")


def scores(folder: Path) -> list[ScoreRecord]:
    return [one for one in records_of(folder) if isinstance(one, ScoreRecord)]


def test_whatever_is_scored_has_its_total_and_unfairness(result: Result) -> None:
    found = scores(result.folder)
    assert {one.phase for one in found} >= {"evolution", "random search", "tune clos", "test: evolved champion"}
    for one in found:
        control = Controllability("uniform").analyse(one.topology)
        assert -one.measures["controllability"] == pytest.approx(control.total, rel=1e-9)
        if control.total:
            assert one.measures["unfairness"] == pytest.approx(control.unfairness, rel=1e-9, abs=1e-9)


def test_it_decides_nothing_and_can_be_turned_off(result: Result, tmp_path: Path) -> None:
    without = run(tmp_path / "run", controllability=False)
    assert without.digest == result.digest and without.table == result.table
    assert all(one.measures == {} for one in scores(without.folder))
    history = History.of(without.folder)
    assert not any("controllability_" in point.name for point in run_records(history)[0].points if point.step)
    assert next(csv.DictReader(io.StringIO(candidates_csv(history))))["controllability"] == ""


@pytest.mark.parametrize("trouble", [MemoryError, ArithmeticError])
def test_a_topology_whose_k_cannot_be_found_is_scored_all_the_same(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: type[Exception]
) -> None:
    def fails(topology: Topology) -> float:
        raise trouble("too large")

    monkeypatch.setitem(registry.PROXIES, "unfairness", fails)
    assert run(tmp_path / "run").digest == result.digest
    assert all(set(one.measures) == {"controllability"} for one in scores(tmp_path / "run"))


def test_it_is_an_objective_by_name(result: Result, tmp_path: Path) -> None:
    objectives = ["controllability", "unfairness"]
    found = run(tmp_path / "run", objectives=objectives)
    assert found.digest != result.digest
    candidates = [one for one in scores(found.folder) if one.phase == Policy.EVOLUTION.value]
    assert candidates and all(list(one.wanted) == objectives and len(one.measures) == 2 for one in candidates)


def test_its_course_is_tracked_with_its_rank_correlation_with_the_error(result: Result) -> None:
    history = History.of(result.folder)
    candidates = history.scores(Policy.EVOLUTION.value)
    total = np.array([-one.measures["controllability"] for one in candidates])
    unfair = np.array([one.measures["unfairness"] for one in candidates])
    errors = [one.error for one in candidates]
    points = run_records(history)[0].points
    last = {one.name: one.value for one in points if one.step == len(candidates)}
    assert last["evolution/controllability_best"] == total.max()
    assert last["evolution/controllability_mean"] == pytest.approx(total.mean())
    assert last["evolution/controllability_correlation"] == pytest.approx(spearmanr(total, errors).statistic)
    assert last["evolution/unfairness_best"] == unfair.min()
    assert last["evolution/unfairness_mean"] == pytest.approx(unfair.mean())
    assert last["evolution/unfairness_correlation"] == pytest.approx(spearmanr(unfair, errors).statistic)
    assert "random_search/controllability_correlation" in {one.name for one in points}


def test_tables_for_other_programs_have_both_numbers(result: Result) -> None:
    history = History.of(result.folder)
    first = history.scores(Policy.EVOLUTION.value)[0]
    row = next(csv.DictReader(io.StringIO(candidates_csv(history))))
    assert float(row["controllability"]) == -first.measures["controllability"]
    assert float(row["unfairness"]) == first.measures["unfairness"]
    tested = history.scores(names.test(names.EVOLVED))[0]
    row = next(csv.DictReader(io.StringIO(final_table_csv(history))))
    assert float(row["controllability"]) == -tested.measures["controllability"]
