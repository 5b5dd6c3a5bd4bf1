"""A study of a figure: its figure and table follow from its journal, and stopping it or its workers changes nothing."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console
from scipy import stats

from evaluators import Fidelity, Score, Split
from evo.experiment.compare import for_scores, for_tuning
from evo.recipe import load_as, validate_as
from evo.report.artifacts import write_report
from evo.report.side_by_side import side_by_side
from evo.storage import header
from evo.storage import run as runs_module
from evo.storage.header import recipe_of
from evo.storage.history import History
from evo.storage.records import RunEvent
from evo.studies.figures import console as figures_console
from evo.studies.figures.console import draw_and_show
from evo.studies.figures.findings import beside_controls, points, settings_of
from evo.studies.figures.picture import figure
from evo.studies.figures.report import record, table, write
from evo.studies.figures.settings import FigureSettings
from evo.studies.figures.study import TEST, cells, study, topologies_of
from tests.commands import Commands
from tests.evaluators.training.examples import blobs
from tests.fakes import SEED, HashEvaluator, ShufflingPool
from topologies import Topology, butterfly
from topologies.stack import Stack

RECIPES = sorted((Path(__file__).parents[3] / "runs").glob("*.toml"))
SERIES = [
    {"name": "butterfly", "topology": "butterfly(8, {value}, skip=False)", "values": [3, 4, 6]},
    {"name": "low rank", "topology": "low_rank(8, 8, {value})", "values": [2]},
]


def tiny(runs: Path, **changes: Any) -> FigureSettings:
    values: dict[str, Any] = {
        "seed": SEED,
        "n_in": 8,
        "n_out": 8,
        "x": "depth",
        "fidelity": {"targets": 2, "steps": 5, "rates": [0.1, 0.3]},
        "test_targets": 3,
        "series": SERIES,
        "runs": str(runs),
        "cluster": {"pool": "in-process"},
    }
    return validate_as(FigureSettings, {key: one for key, one in (values | changes).items() if one is not None})


def trained(runs: Path, **changes: Any) -> FigureSettings:
    """A small form of Fig. 2b."""
    layers: list[dict[str, Any]] = [
        {"name": layer, "layer": layer, "topology": "expander(width=1, depth=1, fan_in=4, seed={place}, skip=False)"}
        for layer in ("cascade", "dense_xavier", "hashed", "circulant")
    ]
    layers += [{"name": "stages", "topology": "butterfly(16, 4)", "first": "low_rank(rank=1)", "spread": True}]
    network = {"data": "digits", "width": 16, "examples": 200}
    fidelity = {"targets": 2, "steps": 2, "rates": [0.01]}
    given: dict[str, Any] = {"network": network, "fidelity": fidelity, "series": layers, "values": [3]}
    return tiny(runs, **{"n_in": None, "n_out": None, "test_targets": None, "x": "value"} | given | changes)


def rows(folder: Path) -> list[dict[str, str]]:
    """The table without what depends on the machine's speed."""
    write(History.of(folder), folder)
    found = list(csv.DictReader(io.StringIO((folder / "figure.csv").read_text())))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found]


def test_it_ends_with_a_figure_and_a_table_of_what_the_evaluator_says(tmp_path: Path) -> None:
    evaluator = HashEvaluator()
    folder = study(tiny(tmp_path), evaluator)
    found = rows(folder)
    assert [(row["series"], row["value"]) for row in found] == [
        *(("butterfly", str(depth)) for depth in (3, 4, 6)),
        ("low rank", "2"),
    ]
    topology = butterfly(8, 6, skip=False).canonical
    errors = evaluator.evaluate(topology, Fidelity(3, 5, (0.1,)), Split.TEST, SEED).errors
    assert float(found[2]["error"]) == pytest.approx(np.mean(errors))
    assert found[2]["errors"] == " ".join(map(str, errors))
    assert (found[2]["parameters"], found[2]["depth"]) == (str(topology.n_trainable), "6")
    assert imread(folder / "figure.png").shape[0] > 300
    splits = {split for _, fidelity, split in evaluator.calls if len(fidelity.rates) > 1}
    assert splits == {Split.VALIDATION}  # no rate is chosen on test targets


def test_a_point_of_one_target_is_drawn_without_a_bar_and_is_not_called_certain(tmp_path: Path) -> None:
    alone = [*SERIES[:1], {**SERIES[0], "name": "shuffled", "shuffled": True}]
    folder = study(tiny(tmp_path, test_targets=1, series=alone), HashEvaluator())
    history, shown = History.of(folder), Console(record=True, file=io.StringIO(), width=200)
    shown.print(table(history))
    told = shown.export_text()
    assert told.count("± unknown") == 6 + 3 and "deterministic" not in told
    drawn = figure(settings_of(history), points(history), "error")
    assert "1 test target a point · seed 3" in " ".join(text.get_text() for text in drawn.texts)
    assert not any(segment.size for bars in drawn.axes[0].collections for segment in bars.get_segments())


def test_what_fails_on_validation_targets_is_not_tested_at_rates_that_the_test_chooses(tmp_path: Path) -> None:
    class FailsOnce(HashEvaluator):
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            if split is Split.VALIDATION and topology.depth == 4:
                raise ArithmeticError("too deep today")
            return super().evaluate(topology, fidelity, split, seed)

    evaluator = FailsOnce()
    found = rows(study(tiny(tmp_path), evaluator))
    assert [(row["series"], row["value"]) for row in found if row["error"]] == [
        ("butterfly", "3"), ("butterfly", "6"), ("low rank", "2"),
    ]  # fmt: skip
    assert all(len(fidelity.rates) == 1 for _, fidelity, split in evaluator.calls if split is Split.TEST)


def test_values_that_are_not_all_whole_have_steps_of_their_own(tmp_path: Path) -> None:
    series = [{"name": "dense", "topology": "dense(8, 8)", "values": [0.5, 0.75, 2, 3]}]
    filed = record(History.of(study(tiny(tmp_path, series=series), HashEvaluator())))
    assert [one.step for one in filed.points] == [0, 1, 2, 3]
    filed = record(History.of(study(tiny(tmp_path), HashEvaluator())))
    assert [one.step for one in filed.points] == [3, 4, 6, 2]


@pytest.mark.parametrize(
    "asked",
    [
        lambda figure: for_tuning(figure, ()),
        lambda figure: for_scores({str(figure / "figure.png"): butterfly(8, 3)}, ()),
        lambda figure: recipe_of(figure, 5),
        write_report,
        lambda figure: list(side_by_side(History.of(figure), History.of(figure))),
    ],
    ids=["tune", "score", "resume --generations", "report", "compare"],
)
def test_what_is_asked_of_searches_is_refused_in_one_line(tmp_path: Path, asked: Callable[[Path], object]) -> None:
    named = tiny(tmp_path, evaluator="tests.fakes:HashEvaluator")
    figure = study(named)
    before = sorted(figure.iterdir())
    with pytest.raises(
        ValueError, match=rf"{re.escape(str(figure))} is a study of a figure, not a search for a topology$"
    ):
        asked(figure)
    assert sorted(figure.iterdir()) == before


def test_a_study_has_no_result_as_json(tmp_path: Path, command: Commands) -> None:
    folder = study(tiny(tmp_path, evaluator="tests.fakes:HashEvaluator"))
    journal = (folder / "journal.jsonl").read_bytes()
    for more in ([], ["--before-record", "1"]):
        done = command(tmp_path, "resume", str(folder), *more, "--json")
        assert done.returncode == 2 and done.stderr.startswith("evofabric: --json: ") and done.stdout == ""
    assert command(tmp_path, "resume", str(folder), "--before-record", "1", "--generations", "9").returncode == 2
    assert (folder / "journal.jsonl").read_bytes() == journal, "what is refused cuts nothing"
    damaged = journal.replace(b'"kind":"score"', b'"kind":"scorn"', 1)
    (folder / "journal.jsonl").write_bytes(damaged)
    done = command(tmp_path, "resume", str(folder), "--before-record", "1")
    assert done.returncode == 0 and (folder / "journal.jsonl.damaged").read_bytes() == damaged


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    evaluator, seen = HashEvaluator(), 0
    whole = rows(study(tiny(tmp_path / "whole"), evaluator))
    calls = len(evaluator.calls)

    def stop(event: RunEvent) -> None:
        nonlocal seen
        seen += 1
        if seen > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study(tiny(tmp_path / "stopped"), evaluator, watcher=stop)
    (folder,) = (tmp_path / "stopped").glob("figure-*")
    study(tiny(tmp_path / "stopped"), evaluator, folder=folder)
    assert len(evaluator.calls) == 2 * calls and rows(folder) == whole
    study(tiny(tmp_path / "stopped"), evaluator, folder=folder)
    assert len(evaluator.calls) == 2 * calls and rows(folder) == whole


def test_the_order_of_answers_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for seed in (0, 1):

        @contextmanager
        def shuffling(settings: Any, evaluator: Any, seed: int = seed) -> Iterator[tuple[ShufflingPool, str]]:
            yield ShufflingPool(evaluator, seed), "cpu"

        monkeypatch.setattr(runs_module, "open_pool", shuffling)
        folder = study(tiny(tmp_path), HashEvaluator())
        order = [one.number for one in History.of(folder).records if getattr(one, "phase", "") == TEST]
        found.append((order, rows(folder)))
    assert found[0][0] != found[1][0] and found[0][1] == found[1][1]


def test_a_network_is_trained_with_every_kind_of_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_console, "track", lambda folder: "")
    screen = Console(width=80, record=True, file=io.StringIO())
    draw_and_show(trained(tmp_path), None, screen)
    (folder,) = tmp_path.glob("figure-s3-*")
    found = rows(folder)
    assert all(0 < float(row["error"]) <= 1 and not row["failure"] for row in found)
    at_three = {row["series"]: row for row in found if row["value"] == "3"}
    assert len({row["errors"] for row in at_three.values()}) >= 3  # of forty test examples, so there may be ties
    assert {at_three[name]["parameters"] for name in ("cascade", "hashed", "circulant")} == {"192"}
    history = History.of(folder)
    stages = next(one.topology for one in history.scores(TEST) if one.origin.label == "stages at 3")
    assert isinstance(stages, Stack)
    layers = butterfly(16, 4).layers
    assert [place.layers[0] for place in stages.places[1:]] == list(layers[:2])
    assert f"{tmp_path}" in screen.export_text().replace("\n", "")
    filed = record(history)
    assert {one.name for one in filed.points} == {f"error/{row['series']}" for row in found}
    assert {one.step for one in filed.points} == {3} and filed.status == "FINISHED"
    before = (folder / "journal.jsonl").read_text().count('"kind":"score"')
    draw_and_show(validate_as(FigureSettings, {**history.settings, "cluster": {"pool": "in-process"}}), folder, screen)
    assert (folder / "journal.jsonl").read_text().count('"kind":"score"') == before == len(found)
    assert rows(folder) == found


def test_a_study_that_has_ended_is_drawn_again_without_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures_console, "track", lambda folder: "")
    series = [{"name": "cascade", "topology": "expander(width=1, depth=1, fan_in=4, seed={place}, skip=False)"}]
    x, y = blobs()
    np.savez(data := tmp_path / "mine.npz", x_train=x, y_train=y)
    folder = study(trained(tmp_path, series=series, network={"data": str(data), "width": 16}))
    data.unlink()
    settings = validate_as(FigureSettings, header.recipe_of(folder))
    screen = Console(width=80, record=True, file=io.StringIO())
    draw_and_show(settings, folder, screen)
    assert "cascade" in screen.export_text() and (folder / "figure.png").is_file()


def test_a_study_of_networks_that_another_version_began_goes_on_in_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = [{"name": "cascade", "topology": "expander(width=1, depth=1, fan_in=4, seed={place}, skip=False)"}]
    settings = trained(tmp_path, series=series)
    folder = study(settings)
    found = rows(folder)
    real = header.version
    monkeypatch.setattr(header, "version", lambda name: "9.9" if name == "evofabric" else real(name))
    with pytest.raises(ValueError, match=r"this is 9.9, .*: go on in a copy of the run with --fork"):
        study(settings, folder=folder)
    copy = header.fork(folder, partial(validate_as, FigureSettings))
    assert rows(study(settings, folder=copy)) == found
    assert (copy / "journal.jsonl").read_text().count('"kind":"score"') == len(found)


def test_a_familys_name_stands_for_its_best_member_and_shuffling_keeps_the_fans(tmp_path: Path) -> None:
    named = {"topology": "clos", "values": [2]}
    series = [{"name": "clos", **named}, {"name": "shuffled", "shuffled": True, **named}]
    folder = study(tiny(tmp_path, series=series), HashEvaluator())
    clos, shuffled = (one.topology for one in History.of(folder).scores(TEST))
    assert clos.n_trainable <= 32 and clos.is_connected
    assert clos.widths == shuffled.widths and clos.n_trainable == shuffled.n_trainable
    assert clos.digest != shuffled.digest


def test_a_network_has_the_size_of_its_data_also_where_its_evaluator_is_named(tmp_path: Path) -> None:
    named = trained(tmp_path, evaluator="evaluators.training:TrainedAccuracy")
    assert named == trained(tmp_path) and (named.n_in, named.n_out) == (64, 10)


def test_a_structure_is_compared_with_the_same_shuffled_pair_by_pair(tmp_path: Path) -> None:
    named = {"topology": "clos(8, 4, {value}, 4)", "values": [2, 3]}
    series = [{"name": "clos", **named}, {"name": "shuffled", "shuffled": True, **named}]
    folder = study(tiny(tmp_path, series=series), HashEvaluator())
    found = rows(folder)
    errors = [np.array(row["errors"].split(), dtype=float) for row in found]
    for clos, row in enumerate(found[:2]):
        apart = stats.ttest_rel(errors[clos], errors[clos + 2]).confidence_interval()
        assert [float(row["minus_shuffled_low"]), float(row["minus_shuffled_high"])] == pytest.approx(list(apart))
    assert not any(row["minus_shuffled"] for row in found[2:])
    means = np.mean(errors, axis=1)  # the wiring of a point is one, however many targets it has
    whole = stats.ttest_rel(means[:2], means[2:]).confidence_interval()
    (of_clos,) = beside_controls(History.of(folder)).values()
    assert (of_clos.low, of_clos.high) == pytest.approx(tuple(whole))


def test_the_papers_requirements_are_met_by_its_answer_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_console, "track", lambda folder: "")
    recipe = next(path for path in RECIPES if path.stem == "fig5")
    screen = Console(width=80, record=True, file=io.StringIO())
    draw_and_show(load_as(FigureSettings, recipe, [f"runs={tmp_path}", "cluster.pool=in-process"]), None, screen)
    (folder,) = tmp_path.iterdir()
    assert imread(folder / "fig5.png").shape[0] > 300
    met: dict[str, list[str]] = {}
    for row in csv.DictReader(io.StringIO((folder / "fig5.csv").read_text())):
        met.setdefault(row["topology"].partition("(")[0], []).append(row["met"])
    assert met["parallel_butterfly"] == ["yes"] * 4
    assert met["clos"] == ["yes", "yes", "yes", "no"]  # which is narrow where it is small
    assert met["butterfly"] == ["yes", "yes", "no", "yes"]
    assert met["hypercube"] == met["torus"] == ["yes", "no", "no", "yes"]
    assert met["random_regular"] == ["yes", "no", "yes", "yes"]
    assert "no  18, 36" in screen.export_text()


@pytest.mark.parametrize("recipe", [path for path in RECIPES if "[[series]]" in path.read_text()], ids=lambda x: x.stem)
def test_the_recipes_of_the_figures_can_be_followed(recipe: Path) -> None:
    known = ['evaluator="evaluators.training:TrainedAccuracy"', "n_in=3072", "n_out=10"]  # of data that are not here
    needs_data = "cifar10.npz" in recipe.read_text()
    settings = load_as(FigureSettings, recipe, ["values=[2]", *(known if needs_data else [])])
    if not needs_data:
        assert len(topologies_of(settings)) == len(cells(settings)) >= len(settings.series)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"series": []}, "series"),
        ({"series": [SERIES[0], SERIES[0]]}, "two are called 'butterfly'"),
        ({"series": [{"name": "a", "topology": "butterfly(8, 3)"}]}, "series 'a' has no values"),
        ({"series": [{**SERIES[0], "layer": "hashed"}]}, "need a section [network]"),
        ({"series": [{**SERIES[0], "topologie": "x"}]}, "topologie"),
        ({"series": [{**SERIES[0], "topology": "butterfly(8, {depth})"}]}, "only {value} and {place} stand for"),
        ({"series": [{**SERIES[0], "topology": "butterfly(16, 4)"}]}, "is 16 x 16, where 8 x 8 is wanted"),
        ({"series": [{**SERIES[0], "topology": "buterfly(8, 3)"}]}, "the nearest is 'butterfly'"),
        ({"network": {"data": "no.npz"}, "n_in": None, "n_out": None}, "is not there"),
        (
            {"network": {"data": "digits"}, "n_in": None, "n_out": None, "picture": "requirements"},
            "leave the section [network] out",
        ),
        ({"network": {"data": "digits"}, "evaluator": "mine:Mine"}, "evaluator = 'mine:Mine' beside [network]"),
        ({"network": {"data": "digits"}}, "test_targets: fidelity.targets is the number of trainings"),
        ({"network": {"data": "digits", "kind": "cnn"}, "test_targets": None}, "network.kind = 'cnn': one of"),
    ],
)
def test_a_mistake_in_a_recipe_is_one_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        study(tiny(tmp_path, **changes), HashEvaluator())
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
