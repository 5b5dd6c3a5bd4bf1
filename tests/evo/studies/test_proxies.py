"""A study of scores: what it finds follows from its journal, and stopping it changes nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from evaluators import Fidelity, MatrixReconstruction, Score, Split
from evo.recipe import load_as, validate_as
from evo.storage.history import History
from evo.storage.records import RunEvent
from evo.studies.proxies import study as proxies
from evo.studies.proxies.findings import Finding, findings, ranking, samples
from evo.studies.proxies.pictures import best_scores, correlations
from evo.studies.proxies.report import FILES, findings_csv, findings_tables, record, sample_csv, write
from evo.studies.proxies.sample import draw_sample
from evo.studies.proxies.study import STUDIED, StudySettings, study
from topologies.topology import Topology

QUICK = {name: proxy for name, proxy in STUDIED.items() if name != "controllability_trained"}
"""All but the one that trains with torch, which takes seconds to load."""


def tiny(runs: Path, **changes: Any) -> StudySettings:
    values: dict[str, Any] = {
        "n_in": 8,
        "n_out": 8,
        "budgets": [24, 40],
        "sample_size": 6,
        "full": {"targets": 3, "steps": 20, "rates": [0.3, 1.0]},
        "cheap": [{"targets": 2, "steps": 5, "rates": [1.0]}],
        "runs": str(runs),
        "cluster": {"pool": "in-process"},
    }
    return validate_as(StudySettings, values | changes)


def found_by(folder: Path) -> tuple[Finding, ...]:
    return findings(samples(History.of(folder)))


def timeless(found: tuple[Finding, ...]) -> list[str]:
    """What does not depend on how fast the machine was; as text, since NaN does not equal itself."""
    return [repr(replace(one, ms=0.0, cost=0.0)) for one in found]


class ByDigest:
    """Errors around a number that the digest gives, with little noise from target to target."""

    def __init__(self) -> None:
        self.calls = 0

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        self.calls += bool(seed)
        noise = np.random.default_rng([seed, int(topology.digest[:8], 16)]).normal(0, 1e-6, fidelity.targets)
        return Score(tuple(float(error) for error in secret(topology) + noise))


def secret(topology: Topology) -> float:
    """The mean error that :class:`ByDigest` gives."""
    return 0.1 + int(topology.digest[:6], 16) / 16**6


@pytest.fixture(scope="module", autouse=True)
def drawn_once() -> Iterator[None]:
    """Drawing topologies takes a second or two, and most tests want the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proxies, "draw_sample", cache(draw_sample))
        yield


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A finished study."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proxies, "STUDIED", QUICK)
        return History.of(study(tiny(tmp_path_factory.mktemp("runs"))))


def test_every_score_is_studied_at_every_budget(studied: History) -> None:
    found = findings(samples(studied))
    assert {(one.budget, one.score) for one in found} == {
        (budget, name) for budget in (24, 40) for name in (*QUICK, "reconstruction 2x5")
    }
    assert {one.score for one in found if one.trains} == {"reconstruction 2x5"}
    assert all(one.ms > 0 and one.cost > 0 for one in found)
    assert set(ranking(found)) == {one.score for one in found}


def test_errors_and_scores_are_those_of_the_sample(studied: History) -> None:
    for sample in samples(studied):
        found = [one.topology for one in studied.scores(f"sample {sample.budget}")]
        full = Fidelity(3, 20, (0.3, 1.0))
        errors = [MatrixReconstruction().evaluate(one, full, Split.VALIDATION, 1).error for one in found]
        assert sample.errors.tolist() == pytest.approx(errors, rel=1e-6)
        cheap = [MatrixReconstruction().evaluate(one, Fidelity(2, 5, (1.0,)), Split.SEARCH, 1).error for one in found]
        assert sample.scores["reconstruction 2x5"].original.tolist() == pytest.approx(cheap, rel=1e-6)
        for name in ("tangent_rank", "synflow", "depth"):
            assert sample.scores[name].original.tolist() == pytest.approx([QUICK[name](one) for one in found])
        controls = [one.topology for one in studied.scores(f"null model {sample.budget}")]
        assert sample.scores["synflow"].shuffled.tolist() == pytest.approx([QUICK["synflow"](one) for one in controls])
        assert [one.widths for one in controls] == [one.widths for one in found]


def test_errors_that_are_equal_but_for_rounding_are_not_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Rounds(ByDigest):
        def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
            return Score((0.3 + 6e-17 * (int(topology.digest, 16) % 2),) * fidelity.targets)

    monkeypatch.setattr(proxies, "STUDIED", {"depth": QUICK["depth"]})
    found = found_by(study(tiny(tmp_path, budgets=[40], sample_size=12), Rounds()))
    assert [one.pairs for one in found] == [0, 0]


def test_an_oracle_is_recognised_and_its_opposite_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oracles: dict[str, Callable[[Topology], float]] = {
        "oracle": secret,
        "wrong": lambda topology: -secret(topology),
        "constant": lambda topology: 1.0,
        "tangent_rank": lambda topology: topology.depth,
    }
    monkeypatch.setattr(proxies, "STUDIED", oracles)
    found = {one.score: one for one in found_by(study(tiny(tmp_path, budgets=[40], sample_size=12), ByDigest()))}
    for name, sign in (("oracle", 1), ("wrong", -1)):
        one = found[name]
        assert one.pairs >= 6
        assert (one.spearman.value, one.kendall.value, one.at_equal_rank.value) == pytest.approx((sign,) * 3)
        assert one.from_null_model.value == (1 + sign) / 2
    assert np.isnan(found["constant"].spearman.value) and found["constant"].from_null_model.value == 0.5
    assert ranking(tuple(found.values()))[:2] == ["oracle", "reconstruction 2x5"]
    assert np.isnan(found["tangent_rank"].at_equal_rank.value)


class StopError(Exception):
    pass


@pytest.mark.parametrize("records", [3, 30, 60])
def test_a_study_that_was_stopped_finds_the_same(
    records: int, studied: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "STUDIED", QUICK)
    seen: list[RunEvent] = []

    def watch(event: RunEvent) -> None:
        seen.append(event)
        if len(seen) > records:
            raise StopError

    with pytest.raises(StopError):
        study(tiny(tmp_path), watcher=watch)
    (folder,) = tmp_path.glob("proxies-*")
    study(tiny(tmp_path), folder=folder)
    assert timeless(found_by(folder)) == timeless(findings(samples(studied)))


def test_a_finished_study_is_not_computed_again_and_a_new_score_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "STUDIED", {"depth": QUICK["depth"]})
    evaluator = ByDigest()
    folder = study(tiny(tmp_path), evaluator)
    calls, table = evaluator.calls, findings_csv(found_by(folder))
    study(tiny(tmp_path), evaluator, folder=folder)
    assert evaluator.calls == calls and findings_csv(found_by(folder)) == table
    monkeypatch.setattr(proxies, "STUDIED", {"depth": lambda _: pytest.fail("known"), "oracle": secret})
    study(tiny(tmp_path), evaluator, folder=folder)
    found = {one.score: one for one in found_by(folder)}
    assert evaluator.calls == calls and found["oracle"].spearman.value == pytest.approx(1) and "depth" in found


def test_what_cannot_be_scored_is_predicted_worst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"broken": lambda topology: np.inf if secret(topology) > 0.5 else secret(topology)}
    monkeypatch.setattr(proxies, "STUDIED", broken)
    (sample,) = samples(History.of(study(tiny(tmp_path, budgets=[40], sample_size=12), ByDigest())))
    lost = sample.errors > 0.5
    assert lost.any() and np.isinf(sample.scores["broken"].original).tolist() == lost.tolist()


def test_the_files_are_written_and_say_the_same(studied: History, tmp_path: Path) -> None:
    write(studied, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == set(FILES)
    found = samples(studied)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "findings.csv").read_text())))
    for row, one in zip(rows, findings(found), strict=True):
        assert (int(row["budget"]), row["score"]) == (one.budget, one.score)
        assert float(row["spearman"] or "nan") == pytest.approx(one.spearman.value, nan_ok=True)
    rows = list(csv.DictReader(io.StringIO(sample_csv(studied))))
    assert [float(row["error"]) for row in rows] == [error for sample in found for error in sample.errors]
    assert float(rows[0]["synflow"]) == found[0].scores["synflow"].original[0]


def test_tables_have_a_row_a_score_and_fit_a_terminal(studied: History) -> None:
    from rich.console import Console

    console = Console(width=80, record=True, file=io.StringIO())
    for table in findings_tables(findings(samples(studied))):
        console.print(table)
    text = console.export_text()
    assert "…" not in text
    assert all(text.count(f" {name} ") == 2 for name in (*QUICK, "reconstruction 2x5"))


def test_a_cost_is_left_open_where_no_error_was_computed(studied: History) -> None:
    (one, *_) = findings(samples(studied))
    (table,) = findings_tables((replace(one, cost=float("nan")),))
    assert list(table.columns[-1].cells) == ["–"]


def test_pictures_show_every_budget(studied: History) -> None:
    found = samples(studied)
    figure = best_scores(found, findings(found))
    assert len(figure.axes) == 2 * 4  # three scores and a cheap reconstruction, at two budgets
    assert sum(line.get_xdata().size for line in figure.axes[0].lines) == 6
    names = [label.get_text() for label in correlations(findings(found)).axes[0].get_yticklabels()]
    assert [name.replace(" ", "_") for name in names] == [name.replace(" ", "_") for name in ranking(findings(found))]


def test_errors_of_another_evaluator_are_not_called_relative_or_reconstructed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "STUDIED", {"depth": QUICK["depth"]})
    history = History.of(study(tiny(tmp_path, budgets=[40]), ByDigest()))
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    (tmp_path / "files").mkdir()
    write(history, tmp_path / "files")
    words = [text.get_text() for figure in drawn for text in figure.findobj(Text)]
    assert len(drawn) == 2 and any("depth" in one for one in words)
    assert not [one for one in words if "relative error" in one]
    assert any("error by ByDigest" in one for one in words)
    assert "reconstruction error" not in record(history).tags["mlflow.note.content"]


def test_a_study_that_has_not_got_anywhere_has_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="no complete budget"):
        correlations(())


def test_tracking_has_the_estimates_by_budget(studied: History) -> None:
    filed = record(studied)
    found = {(one.score, one.budget): one for one in findings(samples(studied))}
    values = {(one.name, one.step): one.value for one in filed.points}
    assert values["spearman/synflow", 24] == found["synflow", 24].spearman.value
    assert all(np.isfinite(value) for value in values.values())
    assert filed.status == "FINISHED" and filed.params["full.steps"] == "20" and "loop.generations" not in filed.params
    assert (
        ranking(tuple(found.values()))[0].startswith("reconstruction")
        or "Best is **" in filed.tags["mlflow.note.content"]
    )


def test_a_study_that_was_stopped_anywhere_can_be_filed(studied: History, tmp_path: Path) -> None:
    told = set()
    for end in range(1, len(studied.records) + 1):
        stopped = History(studied.folder, studied.records[:end])
        note = record(stopped).tags["mlflow.note.content"]
        begun = "Best is **" in note
        assert begun or "Nothing is complete yet" in note
        if (budgets := len(samples(stopped)), begun) not in told:
            told.add((budgets, begun))
            (folder := tmp_path / str(end)).mkdir()
            write(stopped, folder)
            assert {path.name for path in folder.iterdir()} == (set(FILES) if budgets else set())
    assert told == {(0, False), (1, False), (2, False), (2, True)}


def test_the_recipe_of_the_study_and_its_competitor_at_a_hundredth() -> None:
    recipe = load_as(StudySettings, Path(__file__).parents[3] / "runs" / "proxies.toml", ["sample_size=20"])
    assert (recipe.n_in, recipe.budgets, recipe.sample_size) == (32, (160, 320, 640, 960), 20)
    work = [one.targets * one.steps * len(one.rates) for one in (recipe.full, *recipe.cheap)]
    assert (recipe.full.targets, recipe.full.steps) == (32, 4000) and max(work[1:]) * 100 == work[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_out": 9}, "topologies are square"),
        ({"budgets": [8, 40]}, "8 is not between 2n = 16 and n² = 64"),
        ({"budgets": [24, 65]}, "65 is not between 2n = 16 and n² = 64"),
        ({"budgets": []}, "budgets"),
        ({"full": {"targets": 3, "steps": 20}}, "full.rates"),
        ({"full": {"targets": 0, "steps": 20, "rates": [1.0]}}, "at least 1"),
        ({"topology": 3}, "topology"),
    ],
)
def test_a_mistake_in_a_recipe_is_one_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        tiny(tmp_path, **changes)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
