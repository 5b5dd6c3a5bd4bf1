"""The search for a rule: better rules win, a stopped search ends as an undisturbed one, on any pool."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from cluster.pool import Pool
from evaluators.task import Evaluator, Fidelity, Score, Split
from evo.recipe import load_as, validate_as
from evo.storage import run as storage_run
from evo.storage.history import History
from evo.storage.records import GenerationRecord, PhaseStarted, RuleRecord, RunEvent, ScoreRecord
from evo.studies.console import StudyProgress
from evo.studies.rules import report
from evo.studies.rules.study import CHAMPION, RULES, RuleSettings, search_rules
from tests.fakes import ShufflingPool
from topologies import Topology

HOME = Path(__file__).parents[3]


class LikesFive:
    """Small errors for five layers, and a little noise that depends on the split."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        error = 0.1 + 0.1 * abs(topology.depth - 5) / (1 + abs(topology.depth - 5))
        noise = np.random.default_rng([int(topology.digest[:8], 16), list(Split).index(split)]).normal(0, 1e-3)
        return Score((error + noise,) * fidelity.targets, fidelity.rates[0])


def tiny(runs: Path, **changes: Any) -> RuleSettings:
    values: dict[str, Any] = {
        "cases": [[8, 8, 40], [6, 10, 40], [12, 7, 60], [10, 10, 70], [12, 12, 60]],
        "loop": {"generations": 3, "offspring": 6, "population": 5},
        "trials": 2,
        "test_targets": 2,
        "runs": str(runs),
        "cluster": {"pool": "in-process"},
    }
    return validate_as(RuleSettings, values | changes)


def outcome(folder: Path) -> list[tuple[int, dict[str, float], tuple[float, ...]]]:
    """All that was found, in order of breeding, the champion last."""
    rules = [one for one in History.of(folder).records if isinstance(one, RuleRecord)]
    return [
        (one.number, one.law, one.ratios) for one in sorted(rules, key=lambda one: (one.phase == CHAMPION, one.number))
    ]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search_rules(tiny(tmp_path_factory.mktemp("runs")), LikesFive())


def test_evolution_finds_better_rules_and_stops_bad_ones(found: Path) -> None:
    history = History.of(found)
    best = [one.best for one in history.records if isinstance(one, GenerationRecord)]
    assert len(best) == 4 and best == sorted(best, reverse=True) and best[-1] < 1
    champion = report.champion(history)
    assert champion is not None and champion.fitness == pytest.approx(np.mean(champion.ratios))
    rules = [one for one in history.records if isinstance(one, RuleRecord) and one.phase == RULES]
    assert rules[0].fitness is not None and best[-1] < min(best[0], np.exp(rules[0].fitness))  # 0 is the guess
    assert any(one.fitness is None and len(one.ratios) == 4 for one in rules)  # stopped after the first heat
    assert all(len(one.ratios) == 5 for one in rules if one.fitness is not None)


def test_without_a_terminal_a_phase_is_told_by_its_name_alone_where_its_length_is_unknown() -> None:
    said = io.StringIO()
    progress = StudyProgress(Console(file=said))
    progress(PhaseStarted("rules, generation 0 of 60"))
    progress(PhaseStarted("test", 12))
    assert said.getvalue() == "rules, generation 0 of 60\ntest (12)\n"


def test_a_stopped_search_ends_as_an_undisturbed_one(found: Path, tmp_path: Path) -> None:
    left = 40

    def stop(event: RunEvent) -> None:
        nonlocal left
        left -= isinstance(event, ScoreRecord)
        if left == 0:
            raise KeyboardInterrupt

    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        search_rules(tiny(tmp_path), LikesFive(), folder=folder, watcher=stop)
    assert report.champion(History.of(folder)) is None
    assert outcome(search_rules(tiny(tmp_path), LikesFive(), folder=folder)) == outcome(found)


def test_any_order_of_answers_gives_the_same(found: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def shuffled(settings: RuleSettings, evaluator: Evaluator) -> Iterator[tuple[Pool, str]]:
        yield ShufflingPool(evaluator), "cpu"

    monkeypatch.setattr(storage_run, "open_pool", shuffled)
    assert outcome(search_rules(tiny(tmp_path), LikesFive())) == outcome(found)


def test_files_and_tracking_tell_of_it(found: Path, tmp_path: Path) -> None:
    history = History.of(found)
    report.write(history, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(report.FILES)
    champion = report.champion(history)
    assert champion is not None
    assert json.loads((tmp_path / "rule.json").read_text()) == champion.law | {"wiring": champion.wiring}
    assert len((tmp_path / "rules.csv").read_text().splitlines()) == 1 + 6 * 4
    record = report.record(history)
    assert record.status == "FINISHED" and record.tags["role"] == "search for a rule"
    assert [point.step for point in record.points if point.name == "rules/best"] == [6, 12, 18, 24]
    assert "constant edges into a neuron" in record.tags["mlflow.note.content"]


@pytest.mark.parametrize(
    ("cases", "words"),
    [
        ([[8, 8, 10], [8, 8, 40]], "n_in \\+ n_out - 1"),
        ([[8, 8, 40]], "at least 2"),
        ([[1, 8, 8], [8, 8, 40]], "sides"),
    ],
)
def test_cases_that_cannot_be_had_are_refused_in_a_line(tmp_path: Path, cases: list[list[int]], words: str) -> None:
    with pytest.raises(ValueError, match=words) as refusal:
        tiny(tmp_path, cases=cases)
    assert "\n" not in str(refusal.value)


def test_no_rule_is_evolved_on_what_it_is_judged_on() -> None:
    cases = load_as(RuleSettings, HOME / "runs" / "rule.toml").cases
    with (HOME / "tests" / "benchmarks" / "held_out.csv").open(encoding="utf-8", newline="") as file:
        held_out = [(int(row["n_in"]), int(row["n_out"]), int(row["budget"])) for row in csv.DictReader(file)]
    assert set(held_out).isdisjoint(cases)
    assert len(set(held_out)) >= 30 and 3 * sum(n_in != n_out for n_in, n_out, _ in held_out) >= len(held_out)
    sizes = [max(n_in, n_out) for n_in, n_out, _ in cases]
    assert max(sizes) >= 8 * min(sizes)
