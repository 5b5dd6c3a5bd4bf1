"""Tables for the terminal: what errors are called, and nothing that ends in a division by zero."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from evaluators import Score
from evo.console import search as console_search
from evo.experiment.plan import plan
from evo.experiment.search import Result
from evo.experiment.tune import Trial
from evo.report.final_table import comparison_table, plain, verdict
from evo.report.listing import runs
from evo.report.numbers import significant
from evo.report.tables import plan_table, runs_table, spread_table, trials_table
from evo.report.words import Words
from evo.storage.history import History
from evo.storage.names import GROWTH_RULE
from evo.storage.records import GenerationRecord
from evo.storage.results import FinalTable
from tests.evo.histories import by_mine, rewritten, small, with_baseline, with_test_errors
from tests.fakes import recipe

LOSSES = 0.1 + 0.01 * np.arange(12)
"""Errors that are added, whose mean is far from 0 beside their spread."""


def table_of(history: History) -> FinalTable:
    assert history.table is not None
    return history.table


def printed(*things: object, width: int = 200) -> str:
    """What a terminal shows."""
    console = Console(width=width, file=io.StringIO(), record=True)
    for one in things:
        console.print(one)
    return console.export_text()


def without_error(finished: History) -> History:
    errors = {"parallel butterfly": [0.0] * 12, "evolved champion": LOSSES}
    return with_test_errors(with_baseline(finished, 0.0), errors)


def test_every_row_has_its_error_and_its_difference(finished: History) -> None:
    table = table_of(finished)
    text = printed(comparison_table(table, Words("relative error")))
    equal = sum(row.difference is not None and row.difference.mean == 0 for row in table.rows)
    assert "Relative error on 12 test targets" in text and text.count("the baseline") == 2
    assert (text.count("±"), text.count(" equal")) == (len(table.rows) - 1 - equal, equal)
    assert all(row.name in text and f"{row.error.mean:.4f}" in text for row in table.rows)


@pytest.mark.parametrize("width", [80, 200])
def test_a_member_can_be_copied_whole_from_a_terminal_of_any_width(finished: History, width: int) -> None:
    table = table_of(finished)
    text = printed(comparison_table(table, Words("relative error"), width), width=width)
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    assert all(row.label in text for row in table.rows)


def test_a_row_is_one_line_that_begins_with_its_name_and_the_least_error_is_first(finished: History) -> None:
    table = table_of(finished)
    lines = printed(comparison_table(table, Words("relative error")), width=80).splitlines()
    found = []
    for row in table.rows:
        (line,) = (line for line in lines if line.startswith(f"{row.name}  "))
        assert f"{row.error.mean:.4f}" in line and ("*" in line) == (row is table.first)
        found.append((lines.index(line), row.error.mean))
    assert [error for _, error in sorted(found)] == sorted(error for _, error in found)


def test_programs_are_given_what_people_see(finished: History) -> None:
    table = table_of(finished)
    values = json.loads(json.dumps(plain(table)))
    assert (values["first"], values["baseline"]) == ("evolved champion", "parallel butterfly")
    assert [one["error"] for one in values["rows"]] == sorted(row.error.mean for row in table.rows)
    for one in values["rows"]:
        row = table.get(one["name"])
        assert row is not None and (one["errors"], one["member"]) == (list(row.errors), row.label)
        assert one["beside_first"] == table.verdicts.get(row.name)


def test_a_row_level_with_the_champion_and_one_better_than_it_are_marked(finished: History) -> None:
    table = table_of(finished)
    others = [row.name for row in table.others]
    level = {name: np.add(table.first.errors, LOSSES) for name in others}
    level |= {others[1]: table.first.errors, others[2]: np.subtract(table.first.errors, LOSSES)}
    text = printed(comparison_table(table_of(with_test_errors(finished, level)), Words("relative error")))
    marks = {name: text.partition(f"\n{name} ")[2].split()[0] for name in (others[1], others[2])}
    assert marks == {others[1]: "=", others[2]: "+"}
    assert "= level with it" in text and "+ better than it" in text


def test_a_champion_that_is_no_better_than_a_founder_is_reported_as_that_founder(finished: History) -> None:
    table = table_of(finished)
    worse = {row.name: np.add(table.first.errors, LOSSES) for row in table.others}
    won = table_of(with_test_errors(finished, worse))
    assert "use that" not in verdict(won)
    level = table_of(with_test_errors(finished, worse | {"Clos": table.first.errors}))
    clos = level.get("Clos")
    assert clos is not None
    assert f"level with the best that needs no search, the {clos.label}: use that" in verdict(level)
    ruled = table_of(with_test_errors(finished, worse | {GROWTH_RULE: np.subtract(table.first.errors, LOSSES)}))
    assert "worse than the best that needs no search, the growth rule" in verdict(ruled)
    sampled = table_of(with_test_errors(finished, worse | {"random search": table.first.errors}))
    assert "use that" not in verdict(sampled)
    assert "is of the initial population (Clos): evolution found" in verdict(won, "clos")


def test_a_baseline_that_makes_no_error_is_a_row_like_others(finished: History, tmp_path: Path) -> None:
    history = without_error(finished)
    table = table_of(history)
    assert "does not beat parallel butterfly" in printed(verdict(table))
    assert " 0 " in printed(comparison_table(table, Words("relative error"))) and " 0 " in printed(
        spread_table({1: table, 2: table})
    )
    stopped = next(place for place, one in enumerate(history.records) if isinstance(one, GenerationRecord)) + 1
    rewritten(finished, tmp_path / "finished", history.records)
    rewritten(finished, tmp_path / "stopped", history.records[:stopped])
    rewritten(finished, tmp_path / "stopped without", with_baseline(finished, None).records[:stopped])
    listed = runs(tmp_path)
    assert [(one.state, one.baseline) for one in listed] == [("finished", 0.0), ("stopped", 0.0), ("stopped", None)]
    text = printed(runs_table(listed))
    assert all(one.name in text for one in listed) and "%" not in text and "inf" not in text


def test_no_number_is_cut_off_however_many_seeds_or_long_names_there_are(finished: History, tmp_path: Path) -> None:
    table = table_of(finished)
    many = printed(spread_table(dict.fromkeys(range(12), table)), width=80)
    assert "…" not in many and many.count(significant(table.first.error.mean)) >= 13
    expression = "parallel_butterfly(12, 1, 5, n_out=16); parallel_butterfly(16, 1, 7); clos(16, 4, 4, 4)"
    score = Score((0.123456,), 0.3)
    tried = printed(trials_table([Trial(0, expression, table.first.topology, score)]), width=80)
    assert "…" not in tried and "0.1235" in tried and str(table.first.topology.n_trainable) in tried
    rewritten(finished, tmp_path / ("a long name " * 8).strip(), finished.records)
    listed = printed(runs_table(runs(tmp_path)), width=80)
    assert "…" not in listed and finished.result is not None and finished.result.digest[:8] in listed


def test_no_interval_is_shown_where_errors_are_no_sample(finished: History) -> None:
    text = printed(comparison_table(table_of(by_mine(finished)), Words("error by Mine")))
    assert "Error by Mine on 12 test targets" in text and "elative" not in text
    assert "±" not in text and "deterministic" in text


def test_a_search_does_not_call_errors_of_another_evaluator_relative(
    finished: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(finished)
    result = Result(finished.folder, table.first.topology, finished.champion_file, table, "0" * 64)
    monkeypatch.setattr(console_search, "search", lambda *_, **__: result)
    console = Console(width=200, file=io.StringIO(), record=True)
    console_search.search_and_show(small(tmp_path, evaluator="tests.fakes:HashEvaluator"), None, console)
    text = console.export_text()
    assert "on 12 test targets" in text and "Relative error" not in text and "HashEvaluator" in text


def test_phases_in_which_there_is_nothing_to_do_are_not_listed() -> None:
    phases = plan(recipe(fidelity={"finalists": 1}))
    idle = [phase.name for phase in phases if not phase.evaluations]
    told = printed(plan_table(phases))
    assert idle and not any(f" {name} " in told for name in idle)
    assert all(f" {phase.name} " in told for phase in phases if phase.evaluations)
