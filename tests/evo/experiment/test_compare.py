"""Topologies beside the baseline without a search, and champions checked against their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evaluators.task import Fidelity, Score, Split
from evo.experiment.compare import expected_seconds, for_scores, for_tuning, scores, tuning, verify
from evo.experiment.known import run_of, with_known_scores
from evo.experiment.search import search
from evo.settings import Settings
from evo.storage.header import JOURNAL
from evo.storage.names import BASELINES
from evo.storage.records import PhaseStarted, RunEvent, ScoreRecord
from evo.storage.results import Row
from tests.fakes import HashEvaluator, recipe
from topologies.canonical import canonical
from topologies.expression import parse
from topologies.names import resolve
from topologies.topology import Topology


def named(**changes: Any) -> Settings:
    """A recipe whose evaluator is the fake, by name."""
    return recipe(**changes, evaluator="tests.fakes:HashEvaluator", tuning={"trials": 6})


def agrees_with_the_evaluator(row: Row, settings: Settings) -> bool:
    """Whether a row's errors are the evaluator's on the test targets."""
    fidelity = settings.fidelity.test(Score((0.0,), row.learning_rate))
    return row.errors == HashEvaluator().evaluate(row.topology, fidelity, Split.TEST, settings.seed).errors


def test_topologies_are_compared_with_the_tuned_parallel_butterfly() -> None:
    settings, seen = named(), list[RunEvent]()
    expressions = ["clos(8, 2, 3, 2)", "butterfly(8, 3)"]
    table = scores(settings, {text: parse(text) for text in expressions}, seen.append)
    assert [row.name for row in table.rows] == ["parallel butterfly", *expressions]
    assert table.first == table.baseline and table.baseline.difference is None
    for row, expression in zip(table.others, expressions, strict=True):
        assert row.topology == canonical(parse(expression))
        assert row.difference == row.minus(table.baseline)
    assert all(agrees_with_the_evaluator(row, settings) for row in table.rows)
    assert [one.phase for one in seen if isinstance(one, PhaseStarted)] == ["tune parallel_butterfly", "validation"]


def test_where_the_parallel_butterfly_has_no_member_the_best_other_family_is_compared_with() -> None:
    settings = named(n_in=13, n_out=17, budget=100)
    table = scores(settings, {"clos": parse("clos(13, 3, 2, 4, 17)")}, lambda event: None)
    assert table.baseline_name in set(BASELINES.values()) - {"parallel butterfly", "random regular"}
    assert (table.first, table.baseline.topology.is_connected) == (table.baseline, True)
    assert len(table.rows) == 2 and all(agrees_with_the_evaluator(row, settings) for row in table.rows)


def test_a_family_is_tuned_and_its_best_member_scored_on_the_test_targets() -> None:
    settings = named()
    trials, best = tuning(settings, "clos", lambda event: None)
    assert [one.error for one in trials] == sorted(one.error for one in trials)
    assert best.name == "Clos" and best.difference is None
    assert best.label in {one.expression for one in trials[: settings.fidelity.finalists]}
    assert agrees_with_the_evaluator(best, settings)


def test_a_family_without_a_member_is_not_tuned() -> None:
    with pytest.raises(ValueError, match="no connected member of parallel_butterfly has at most 20 trainable edges"):
        tuning(named(budget=20), "parallel_butterfly", lambda event: None)


def test_a_file_that_states_no_test_score_cannot_be_verified(tmp_path: Path) -> None:
    file = parse("butterfly(8, 3)").save(tmp_path / "mine.safetensors")
    with pytest.raises(ValueError, match="states no test score: only champions of a finished search do"):
        verify(file)


def test_what_a_run_of_the_same_recipe_evaluated_is_not_evaluated_again(tmp_path: Path) -> None:
    settings = named(runs=str(tmp_path))
    run = search(settings).folder
    known = with_known_scores(settings)
    assert known.reuse_from == (run,)
    assert with_known_scores(named(runs=str(tmp_path), budget=41)).reuse_from == ()
    expression = "clos(8, 2, 3, 2)"
    fresh = scores(settings, {expression: parse(expression)}, lambda event: None)
    taken = for_scores({str(run): resolve(run), expression: parse(expression)}, ())
    assert (taken.reuse_from, taken.budget, taken.fidelity) == ((run,), settings.budget, settings.fidelity)
    seen = list[RunEvent]()
    table = scores(known, {expression: parse(expression)}, seen.append)
    assert table == fresh
    tried = [one for one in seen if isinstance(one, ScoreRecord) and one.phase.startswith("tune")]
    assert tried and not any(one.seconds for one in tried)  # they were known


def test_in_a_runs_folder_its_files_are_of_the_run_and_expressions_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = search(named(runs=str(tmp_path))).folder
    monkeypatch.chdir(run)
    assert run_of(["champion.safetensors"]) == run_of(["butterfly(8, 3)", "."]) == Path()
    assert run_of(["butterfly(8, 3)"]) is None
    champion = {"champion.safetensors": resolve("champion.safetensors")}
    settings = for_scores(champion, ['cluster.pool = "in-process"'])
    assert settings.fidelity == for_scores({str(run): resolve(run)}, ()).fidelity
    table = scores(settings, champion, lambda event: None)
    assert table.first.error


def test_a_runs_own_baseline_is_the_one_that_it_began_with(tmp_path: Path) -> None:
    file = tmp_path / "base.safetensors"
    base = parse("butterfly(8, 3)")
    base.save(file)
    run = search(named(runs=str(tmp_path / "runs"), baseline=str(file))).folder
    parse("clos(8, 2, 3, 2)").save(file)
    for change in (None, file.unlink):  # another topology under the same name, then none at all
        if change is not None:
            change()
        settings = for_scores({str(run): resolve(run)}, ())
        table = scores(settings, {str(run): resolve(run)}, lambda event: None)
        assert table.baseline.topology == base.canonical
    assert tuning(for_tuning(run, ()), "clos", lambda event: None)


def test_a_run_whose_journal_is_damaged_is_passed_over(tmp_path: Path) -> None:
    settings = named(runs=str(tmp_path))
    older, newer = search(settings).folder, search(settings).folder
    assert with_known_scores(settings).reuse_from == (newer,)
    lines = (newer / JOURNAL).read_bytes().splitlines(keepends=True)
    (newer / JOURNAL).write_bytes(b"".join([*lines[:5], b"damaged\n", *lines[6:]]))
    assert with_known_scores(settings).reuse_from == (older,)


def test_a_champion_needs_no_journal_to_be_verified(tmp_path: Path) -> None:
    run = search(named(runs=str(tmp_path))).folder
    assert expected_seconds(run) is not None
    (run / JOURNAL).write_bytes(b"damaged\nall of it\n")
    assert expected_seconds(run) is None and verify(run).agrees


class FailsWhereDeep(HashEvaluator):
    """Raises for topologies of seven layers."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """As the fake does, or not at all."""
        if topology.depth == 7:
            raise ArithmeticError("too deep for me")
        return super().evaluate(topology, fidelity, split, seed)


def test_a_topology_that_fails_is_named() -> None:
    settings = recipe(evaluator=f"{__name__}:FailsWhereDeep", budget=60)
    with pytest.raises(ValueError, match=r"mine could not be evaluated: .*too deep for me"):
        scores(settings, {"mine": parse("butterfly(8, 7)")}, lambda event: None)


def test_a_run_that_was_scored_by_something_given_from_python_is_not_taken(tmp_path: Path) -> None:
    run = search(named(runs=str(tmp_path)), HashEvaluator()).folder
    assert with_known_scores(named(runs=str(tmp_path))).reuse_from == ()
    assert for_scores({str(run): resolve(run)}, ()).reuse_from == ()
