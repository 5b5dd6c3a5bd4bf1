"""MLflow is a view of the journal: complete, the same however often it is made, and never in a search's way."""

from __future__ import annotations

import json
import pickle
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluators import Controllability
from evo.algorithm.nsga2 import Policy
from evo.recipe import validate_as
from evo.storage.history import History
from evo.storage.records import EndRecord, ExtendedRecord, GenerationRecord, Header, ScoreRecord
from evo.storage.results import FinalTable
from evo.studies.proxies import study as proxies
from evo.studies.proxies.report import FILES
from evo.studies.proxies.report import track as track_study
from evo.studies.proxies.study import STUDIED, StudySettings, study
from evo.tracking.client import local_uri
from evo.tracking.records import model_name, run_records
from evo.tracking.registry import load_champion, resolve
from evo.tracking.store import track
from tests.evo.histories import Formula, by_mine, rewritten, with_baseline, with_test_errors
from tests.evo.tracking.databases import contents, rows
from topologies import SparseCascade, clos
from topologies.files import load


@pytest.fixture(scope="session")
def tracked(finished: History, database: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[History, str]:
    """A finished run that was tracked, and the id of its MLflow run."""
    runs = tmp_path_factory.mktemp("tracked runs")
    shutil.copy(database, runs)
    history = rewritten(finished, runs / finished.folder.name)
    return history, track(history.folder)


def table_of(history: History) -> FinalTable:
    assert history.table is not None
    return history.table


def test_tracking_twice_changes_nothing(tracked: tuple[History, str]) -> None:
    history, run_id = tracked
    before = contents(history.folder.parent)
    assert track(history.folder) == run_id
    assert contents(history.folder.parent) == before


def test_the_course_is_the_journals_with_its_times(tracked: tuple[History, str]) -> None:
    history, run_id = tracked
    for phase, group in (("evolution", "evolution"), ("random search", "random_search")):
        generations = [one for one in history.records if isinstance(one, GenerationRecord) and one.phase == phase]
        assert generations
        for metric, key in (("best_error", "best"), ("baseline_error", "baseline"), ("hypervolume", "hypervolume")):
            values = [(one, getattr(one, key)) for one in generations]
            wanted = [(one.candidates, value, int(1000 * one.time)) for one, value in values if value is not None]
            query = "select step, value, timestamp from metrics where run_uuid = ? and key = ? order by step"
            assert rows(history.folder.parent, query, run_id, f"{group}/{metric}") == wanted


def test_rates_count_evaluations_and_nothing_that_was_known_before(finished: History) -> None:
    records = list(finished.records)
    candidates = [one for one in records if isinstance(one, ScoreRecord) and one.phase == "evolution"]
    known = candidates[::3]
    for candidate in known:
        place = next(place for place, one in enumerate(records) if one is candidate)
        records[place] = candidate.model_copy(update={"device": "cache"})
    history = History(finished.folder, tuple(records))
    evaluated = [one for one in history.scores("evolution") if one.device != "cache"]
    assert len(evaluated) == len(candidates) - len(known)
    points = [one for one in run_records(history)[0].points if one.name == "evolution/evaluations_per_second"]
    times = [min(one.time - one.seconds for one in evaluated), *(point.time for point in points)]
    counted = sum(
        point.value * (after - before) for point, (before, after) in zip(points, pairwise(times), strict=True)
    )
    assert len(points) == 9 and counted == pytest.approx(len(evaluated))


def test_the_search_is_one_run_with_a_child_for_every_tuned_family(tracked: tuple[History, str]) -> None:
    history, run_id = tracked
    runs = history.folder.parent
    phases = {one.phase for one in history.records if isinstance(one, ScoreRecord)}
    families = {phase.removeprefix("tune ") for phase in phases if phase.startswith("tune ")}
    children = rows(runs, "select run_uuid from tags where key = 'mlflow.parentRunId' and value = ?", run_id)
    assert len(children) == len(families) and rows(runs, "select count(*) from runs") == [(1 + len(families),)]
    name, status, start, end = rows(
        runs, "select name, status, start_time, end_time from runs where run_uuid = ?", run_id
    )[0]
    assert (name, status) == (history.folder.name, "FINISHED")
    assert history.result is not None
    assert (start, end) == (int(1000 * history.header.time), int(1000 * history.result.time))


def test_the_baseline_has_its_parameters_and_errors(tracked: tuple[History, str]) -> None:
    history, _ = tracked
    runs = history.folder.parent
    child = rows(runs, "select run_uuid from tags where key = 'role' and value = 'baseline'")
    assert len(child) == 1
    params = dict(rows(runs, "select key, value from params where run_uuid = ?", *child[0]))
    baseline = table_of(history).baseline
    label = baseline.label
    p, d = label.removeprefix("parallel_butterfly(8, ").rstrip(")").split(", ")[:2]
    assert (params["member"], params["member.p"], params["member.d"]) == (label, p, d)
    assert params["member.constants"] in ("copies", "output")
    test = rows(runs, "select value from metrics where run_uuid = ? and key like '%/test_error'", *child[0])
    assert test == [(pytest.approx(np.mean(baseline.errors)),)]
    trials = rows(runs, "select count(*) from metrics where run_uuid = ? and key like '%/trial_error'", *child[0])
    assert trials == [(sum(not one.failure for one in history.scores("tune parallel_butterfly")),)]


def test_params_and_the_final_table_are_there(tracked: tuple[History, str]) -> None:
    history, run_id = tracked
    runs = history.folder.parent
    params = dict(rows(runs, "select key, value from params where run_uuid = ?", run_id))
    assert history.result is not None and params["result_digest"] == history.result.digest
    assert params["loop.generations"] == "8"
    assert params["version.mlflow"] == history.header.program.packages["mlflow"]
    test = dict(rows(runs, "select key, value from metrics where run_uuid = ? and key like 'test/%'", run_id))
    table = table_of(history)
    for row in table.rows:
        assert test.pop("test/" + row.name.replace(" ", "_").lower()) == pytest.approx(row.error.mean)
    over = table.first.error.mean / table.baseline.error.mean
    assert test == {"test/champion_over_baseline": pytest.approx(over)}


def test_the_page_of_runs_opens_on_columns_and_charts_that_there_are(tracked: tuple[History, str]) -> None:
    history, run_id = tracked
    runs = history.folder.parent
    query = "select value from experiment_tags where key = 'mlflow.sharedViewState.evofabric'"
    state = json.loads(rows(runs, query)[0][0])
    metrics = {name for (name,) in rows(runs, "select distinct key from metrics where run_uuid = ?", run_id)}
    params = {name for (name,) in rows(runs, "select key from params where run_uuid = ?", run_id)}
    tags = {name for (name,) in rows(runs, "select key from tags where run_uuid = ?", run_id)}
    there = {
        f"{kind}.`{name}`"
        for kind, names in (("metrics", metrics), ("params", params), ("tags", tags))
        for name in names
    }
    assert there >= set(state["selectedColumns"]) >= {"metrics.`error`", "metrics.`baseline`", "metrics.`ratio`"}
    query = "select key, value from latest_metrics where run_uuid = ? and key in ('error', 'baseline', 'ratio')"
    champion, baseline = table_of(history).first.error.mean, table_of(history).baseline.error.mean
    shown = {"error": champion, "baseline": baseline, "ratio": champion / baseline}
    assert dict(rows(runs, query, run_id)) == pytest.approx(shown)
    sections = {section["uuid"]: section["display"] for section in state["compareRunSections"]}
    for chart in state["compareRunCharts"]:
        assert metrics >= set(chart["selectedMetricKeys"]) and sections[chart["metricSectionId"]]
        assert {name.partition("/")[0] for name in chart["selectedMetricKeys"]} == {"evolution", "random_search"}


def test_the_page_of_a_registered_model_says_how_to_use_it_and_that_works(
    tracked: tuple[History, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    history, _ = tracked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", local_uri(history.folder.parent))
    ((about,),) = rows(history.folder.parent, "select description from registered_models")
    names: dict[str, object] = {}
    exec("\n".join(line.strip() for line in about.splitlines() if line.startswith("    ")), names)
    layer = names["layer"]
    assert isinstance(layer, SparseCascade) and layer.topology == load(history.champion_file)


def test_an_experiment_of_before_gets_the_page_too(finished: History, runs: Path) -> None:
    run_id = track(rewritten(finished, runs / "run").folder)
    with closing(sqlite3.connect(runs / "mlflow.db")) as connection, connection:
        connection.execute("delete from experiment_tags where key like 'mlflow.sharedViewState%'")
    assert track(runs / "run") == run_id
    assert len(rows(runs, "select value from experiment_tags where key like 'mlflow.sharedViewState%'")) == 1


def test_controllability_of_champion_and_baseline_is_there(tracked: tuple[History, str]) -> None:
    history, run_id = tracked
    query = "select key, value from metrics where run_uuid = ? and key like 'controllability/%'"
    found = dict(rows(history.folder.parent, query, run_id))
    expected: dict[str, float] = {}
    table = table_of(history)
    for name, row in (("champion", table.first), ("baseline", table.baseline)):
        control = Controllability("uniform").analyse(row.topology).matrix
        expected[f"controllability/{name}_total"] = pytest.approx(control.sum())
        expected[f"controllability/{name}_unfairness"] = pytest.approx(control.std() / control.mean())
    assert found == expected


def test_a_study_of_scores_is_one_run_and_tracking_it_twice_changes_nothing(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "STUDIED", {"depth": STUDIED["depth"], "synflow": STUDIED["synflow"]})
    values = {"n_in": 8, "n_out": 8, "budgets": [40], "sample_size": 6, "cluster": {"pool": "in-process"}, "runs": runs}
    folder = study(validate_as(StudySettings, values), Formula())
    with pytest.raises(ValueError, match="is a study, not a search"):
        track(folder)
    run_id = track_study(folder)
    assert rows(runs, "select name, status from runs") == [(folder.name, "FINISHED")]
    metrics = dict(rows(runs, "select key, value from metrics where run_uuid = ? and step = 40", run_id))
    assert {"spearman/synflow", "kendall/depth", "ms/reconstruction 2x150"} <= metrics.keys()
    artifacts = runs / "mlflow-artifacts" / run_id / "artifacts"
    assert {file.name for file in artifacts.iterdir()} == set(FILES)
    before = contents(runs)
    assert track_study(folder) == run_id
    assert contents(runs) == before


def test_artifacts_are_there_and_the_description_names_them(tracked: tuple[History, str]) -> None:
    history, run_id = tracked
    runs = history.folder.parent
    folder = runs / "mlflow-artifacts" / run_id / "artifacts"
    assert load(folder / "champion.safetensors") == load(history.champion_file)
    for name in ("progress", "front", "final_table", "topology", "masks", "controllability", "entry_errors"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    ((note,),) = rows(runs, "select value from tags where run_uuid = ? and key = 'mlflow.note.content'", run_id)
    assert all(f"`{file.name}`" in note for file in folder.iterdir() if file.is_file())
    assert f"get-artifact?run_uuid={run_id}&path=progress.png" in note


def test_the_champion_loads_from_the_registry_without_pickle(
    tracked: tuple[History, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    history, _ = tracked
    uri = local_uri(history.folder.parent)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    topology = load(history.champion_file)
    x = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    SparseCascade(topology)(torch.from_numpy(x))  # Numba unpickles its own kernels, the first time
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, lambda *_: pytest.fail("something was unpickled"))
    model = mlflow.pyfunc.load_model("models:/evofabric-8x8-b40-Formula@champion")
    assert load_champion("evofabric-8x8-b40-Formula", uri) == topology
    layer = model.get_raw_model()
    assert layer.topology == topology
    np.testing.assert_allclose(model.predict(x), x @ layer.dense().detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_registered_champion_has_a_name_for_commands(
    tracked: tuple[History, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    history, _ = tracked
    topology, model = load(history.champion_file), "models:/evofabric-8x8-b40-Formula"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", local_uri(history.folder.parent))
    assert {resolve(name).digest for name in (model, f"{model}@champion", f"{model}/1")} == {topology.digest}
    assert resolve("clos(8, 2, 3, 2)") == clos(8, 2, 3, 2)
    for wrong in ("models:/nobody", f"{model}@nothing", f"{model}/99"):
        with pytest.raises(ValueError, match=r"no champion '.*', version '.*', is registered"):
            resolve(wrong)
    with pytest.raises(ValueError, match=r"an MLflow registry.*evo\.tracking\.load_champion"):
        SparseCascade(model)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="there is no MLflow database in"):
        resolve(model)


def test_a_model_registered_by_version_0_1_still_loads(tracked: tuple[History, str], tmp_path: Path) -> None:
    import mlflow

    history, run_id = tracked
    of_now = history.folder.parent / "mlflow-artifacts" / run_id / "artifacts" / "model"
    model = tmp_path / "model"
    shutil.copytree(of_now, model)
    about = (model / "MLmodel").read_text()
    assert about.count("evo.tracking.pyfunc") == 1
    (model / "MLmodel").write_text(about.replace("evo.tracking.pyfunc", "evo.tracked_model"))
    x = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    first, now = (mlflow.pyfunc.load_model(str(folder)) for folder in (model, of_now))
    assert first.get_raw_model().topology == load(history.champion_file)
    np.testing.assert_array_equal(first.predict(x), now.predict(x))


@pytest.mark.parametrize("error", [0.0, None])
def test_a_baseline_without_an_error_has_no_ratio(finished: History, error: float | None) -> None:
    search_record, *families = run_records(with_baseline(finished, error))
    course = [point for point in search_record.points if point.name.startswith(("evolution/", "random_search/"))]
    assert {"evolution/best_error", "random_search/hypervolume"} <= {point.name for point in course}
    assert not [point for point in course if point.name.endswith("error_over_baseline")]
    shown = {point.value for point in course if point.name.endswith("baseline_error")}
    assert shown == ({0.0} if error == 0 else set())
    assert all(np.isfinite(point.value) for record in (search_record, *families) for point in record.points)


def test_a_search_whose_baseline_makes_no_error_is_filed_and_its_champion_registered(
    finished: History, runs: Path
) -> None:
    history = with_test_errors(with_baseline(finished, 0.0), {"parallel butterfly": [0.0] * 12})
    folder = rewritten(finished, runs / "run", history.records).folder
    run_id = track(folder)
    metrics = dict(rows(runs, "select key, value from latest_metrics where run_uuid = ?", run_id))
    assert metrics["test/parallel_butterfly"] == 0 and "test/champion_over_baseline" not in metrics
    ratios = rows(runs, "select value from model_version_tags where key = 'error_over_baseline'")
    assert ratios == [("inf",)]
    track(rewritten(finished, runs / "usual").folder)
    query = "select v.name, t.value from registered_model_aliases a join model_versions v on v.version = a.version "
    query += "join model_version_tags t on t.version = v.version and t.key = 'error_over_baseline'"
    ((name, of_champion),) = rows(runs, query)
    assert name == "evofabric-8x8-b40-Formula" and float(of_champion) < 10


def test_champions_of_other_data_are_other_models(finished: History) -> None:
    header, *others = finished.records
    assert isinstance(header, Header)

    def name(fingerprint: str) -> str:
        found = {"found": {"fingerprint": fingerprint, "about": "", "outputs": 3}}
        of_data = header.model_copy(update={"settings": header.settings | found})
        return model_name(History(finished.folder, (of_data, *others)))

    assert name("0123456789abcdef") == model_name(finished) + "-01234567" != name("ffffffffffffffff")


def test_scores_of_another_evaluator_are_filed_as_theirs(finished: History) -> None:
    history = by_mine(finished)
    table = table_of(history)
    record = run_records(history)[0]
    values = {point.name: point.value for point in record.points}
    assert model_name(history) == "evofabric-8x8-b40-Mine" and record.params["evaluator"] == "mine:Mine"
    assert values["test/evolved_champion"] == table.first.error.mean
    assert values["test/champion_over_baseline"] == table.first.error.mean / table.baseline.error.mean


def test_the_alias_is_the_best_champions_in_whatever_order_runs_are_tracked(finished: History, runs: Path) -> None:
    better = with_test_errors(finished, {"evolved champion": [0.01] * 12})
    folders = [
        rewritten(finished, runs / "plain").folder,
        rewritten(finished, runs / "better", better.records).folder,
        rewritten(finished, runs / "plain again").folder,
    ]
    ids = [track(folder) for folder in folders]
    track(folders[0])
    query = "select run_id from model_versions v join registered_model_aliases a on v.version = a.version"
    assert rows(runs, query) == [(ids[1],)]
    assert rows(runs, "select count(*) from model_versions") == [(3,)]


def test_a_search_that_was_extended_is_registered_as_what_it_found_at_last(finished: History, runs: Path) -> None:
    folder = rewritten(finished, runs / "run").folder
    run_id = track(folder)
    query = "select value from model_version_tags where key = 'error_over_baseline'"
    before = rows(runs, query)
    shutil.rmtree(folder)
    better = with_test_errors(finished, {"evolved champion": [0.01] * 12})
    digests = [one.model_copy(update={"digest": "another"}) if one is better.result else one for one in better.records]
    more = ExtendedRecord(generations=7, time=digests[1].time)
    rewritten(finished, folder, [digests[0], more, *digests[1:]])
    assert track(folder) == run_id and rows(runs, "select count(*) from model_versions") == [(1,)]
    over = 0.01 / table_of(finished).baseline.error.mean
    assert rows(runs, query) == [(f"{over:.6f}",)] != before
    assert "better" in rows(runs, "select description from model_versions")[0][0]
    tags = dict(rows(runs, "select key, value from tags where run_uuid = ?", run_id))
    assert (tags["result_digest"], tags["loop.generations"]) == ("another", "7")


def test_a_run_that_was_killed_is_shown_so_and_goes_on_in_the_same_record(finished: History, runs: Path) -> None:
    generations = [place for place, one in enumerate(finished.records) if isinstance(one, GenerationRecord)]
    end = EndRecord(status="KILLED", time=finished.records[generations[1]].time)
    stopped = [*finished.records[: generations[1] + 1], end]
    folder = rewritten(finished, runs / "stopped", stopped).folder
    run_id = track(folder)
    assert rows(runs, "select status from runs where run_uuid = ?", run_id) == [("KILLED",)]
    assert rows(runs, "select count(*) from model_versions") == [(0,)]
    shutil.rmtree(folder)
    rewritten(finished, folder, [*stopped, *finished.records[generations[1] + 1 :]])
    assert track(folder) == run_id
    assert rows(runs, "select status from runs where run_uuid = ?", run_id) == [("FINISHED",)]
    candidates = rows(runs, "select count(*) from metrics where run_uuid = ? and key = 'evolution/hypervolume'", run_id)
    assert candidates == [(len(finished.generations(Policy.EVOLUTION)),)]


def test_a_database_that_fails_half_way_is_one_line(finished: History, runs: Path) -> None:
    run = rewritten(finished, runs / "a").folder
    with closing(sqlite3.connect(runs / "mlflow.db")) as connection:
        connection.execute("drop table latest_metrics")
    command = [sys.executable, "-m", "evofabric", "track", str(run)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (told.returncode, told.stdout) == (2, "filing ...\n")
    assert told.stderr.startswith("evofabric: MLflow in ") and told.stderr.endswith(": no such table: latest_metrics\n")
    assert told.stderr.count("\n") == 1
