"""A run in words and tables: nothing missing, and nothing better than it is."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

import evo.report.won
from evaluators import Controllability, Score
from evo.report.csv_tables import candidates_csv, final_table_csv, trials_csv
from evo.report.description import about_family, description, final_table_markdown
from evo.report.final_table import verdict
from evo.report.numbers import significant
from evo.report.text import dense_words, headline, numbers_in_words, retrained_words
from evo.storage.history import History
from evo.storage.names import DENSE, GIVEN_BASELINE, SHUFFLED
from evo.storage.records import EndRecord, GenerationRecord, Plain, ScoreRecord
from evo.storage.results import FinalTable
from tests.evo.histories import by_mine, rewritten, with_baseline, with_test_errors

LOOPS = ("evolution", "random search")

LOSSES = tuple(0.3 + 0.01 * number for number in range(12))
"""Test errors above all that the formula gives."""


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def journal(history: History) -> list[Plain]:
    """The journal's records, read without the project's code."""
    return [json.loads(line[9:]) for line in (history.folder / "journal.jsonl").read_text().splitlines()]


def table_of(history: History) -> FinalTable:
    assert history.table is not None
    return history.table


def test_every_candidate_has_a_row_with_what_the_journal_says(finished: History) -> None:
    candidates = [one for one in journal(finished) if one["kind"] == "score" and one["phase"] in LOOPS]
    rows = {(row["phase"], int(row["number"])): row for row in parsed(candidates_csv(finished))}
    assert rows.keys() == {(one["phase"], one["number"]) for one in candidates}
    assert any(one["failure"] for one in candidates)
    for one in candidates:
        row, origin = rows[one["phase"], one["number"]], one["origin"]
        assert row["digest"] == one["digest"]
        assert row["operator"] == origin["operator"] and row["family"] == origin["family"]
        assert int(row["generation"]) == origin["generation"]
        assert [int(parent) for parent in row["parents"].split()] == origin["parents"]
        assert (int(row["n_edges"]), int(row["depth"])) == (one["n_edges"], one["depth"])
        if one["failure"]:
            assert row["error"] == row["learning_rate"] == "" and row["failure"] == one["failure"]
        else:
            assert float(row["error"]) == pytest.approx(np.mean(one["score"]["errors"]), rel=1e-12)
            assert float(row["learning_rate"]) == one["score"]["learning_rate"]


def test_every_trial_has_a_row(finished: History) -> None:
    trials = [one for one in journal(finished) if one.get("phase") == "tune clos"]
    rows = parsed(trials_csv(finished, "clos"))
    by_number = sorted(trials, key=lambda one: one["number"])
    assert rows and [row["member"] for row in rows] == [one["origin"]["label"] for one in by_number]


def test_the_final_table_has_the_means_and_paired_intervals(finished: History) -> None:
    test = {one["phase"][6:]: one["score"]["errors"] for one in journal(finished) if one.get("split") == "test"}
    rows = parsed(final_table_csv(finished))
    assert {row["topology"] for row in rows} == set(test)
    for row in rows:
        errors = np.array(test[row["topology"]])
        assert float(row["error"]) == pytest.approx(errors.mean())
        if row["topology"] == "parallel butterfly":
            assert row["difference"] == ""
            continue
        paired = stats.ttest_rel(errors, test["parallel butterfly"]).confidence_interval(0.95)
        expected = (pytest.approx(paired.low, abs=1e-12), pytest.approx(paired.high, abs=1e-12))
        assert (float(row["low"]), float(row["high"])) == expected
        assert significant(errors.mean()) in final_table_markdown(table_of(finished))


def test_a_lineage_leads_from_no_parents_to_the_candidate(finished: History) -> None:
    candidates = finished.scores("evolution")
    for candidate in candidates:
        line = finished.lineage(candidate)
        assert line[0].origin.parents == () and line[-1] is candidate
        assert all(child.origin.parents[0] == mother.number for mother, child in pairwise(line))


def test_the_champions_lineage_is_told_by_operators(finished: History) -> None:
    candidates = finished.scores("evolution")
    crossed = max(
        (one for one in candidates if one.origin.operator == "crossover"), key=lambda one: len(finished.lineage(one))
    )
    records = tuple(
        ScoreRecord.model_validate(one.model_dump() | {"packed": crossed.packed})
        if isinstance(one, ScoreRecord) and one.phase == "test: evolved champion"
        else one
        for one in finished.records
    )
    history = History(finished.folder, records)
    assert history.champion is not None and history.champion.digest == crossed.digest
    text = description(history)
    line = finished.lineage(crossed)
    assert all(f"`{one.origin.operator}` {one.number}" in text for one in line)
    assert f"in {len(line) - 1} step" in text and f"(with {crossed.origin.parents[1]}, from `" in text


def test_a_win_over_all_is_said(finished: History) -> None:
    won = with_test_errors(finished, {row.name: np.add(LOSSES, row.errors) for row in table_of(finished).others})
    assert headline(table_of(won)) == "Evolution found a better topology than the parallel butterfly."
    text = description(won)
    assert "not told apart" not in text and "worse than" not in text and "Evolution earned its keep" in text


def test_a_given_baseline_is_called_what_it_is(finished: History) -> None:
    """It may be a champion itself, so that it is neither hand-derived nor without a search."""
    lost = table_of(with_test_errors(finished, {"evolved champion": LOSSES}))
    rows = tuple(replace(row, name=GIVEN_BASELINE) if row is lost.baseline else row for row in lost.rows)
    told = headline(replace(lost, rows=rows, baseline_name=GIVEN_BASELINE))
    assert told.startswith("The given baseline is better than the evolved topology.")
    assert "no search, the given baseline" not in told
    alone = replace(lost, rows=(lost.first, rows[lost.rows.index(lost.baseline)]), baseline_name=GIVEN_BASELINE)
    assert headline(alone) == "The given baseline is better than the evolved topology."


def test_a_loss_to_the_baseline_is_said(finished: History) -> None:
    lost = with_test_errors(finished, {"evolved champion": LOSSES})
    told = headline(table_of(lost))
    assert told.startswith("The parallel butterfly is better than the evolved topology. The champion is worse than the")
    assert "better than**" not in description(lost)
    assert "does not beat random search** here" in description(lost) and "did better" in description(lost)


@pytest.mark.parametrize(
    ("family", "told"),
    [("patches", "patches"), ("own", "one of your own"), ("evolved", "evolved law"), ("clos", "Clos")],
)
def test_a_champion_that_was_there_from_the_first_is_said_to_be(finished: History, family: str, told: str) -> None:
    said = f"The champion is of the initial population ({told}): evolution found nothing better."
    assert headline(table_of(finished), family).endswith(said)


def test_what_a_founder_won_is_not_said_to_be_evolutions(finished: History) -> None:
    table = table_of(finished)
    rows = {row.name: np.add(table.first.errors, LOSSES) for row in table.others}
    won = table_of(with_test_errors(finished, rows))
    assert headline(won, "clos").startswith(
        "The best of the initial population is better than the parallel butterfly. "
    )
    assert "use that" not in headline(won, "clos")
    lost = table_of(with_test_errors(finished, rows | {"torus": np.subtract(table.first.errors, LOSSES)}))
    said = headline(lost, "clos")
    assert "evolution found nothing better. The champion is worse than the best that needs no search, the torus" in said


def test_edges_that_the_baseline_would_need_are_told_only_of_what_is_better(
    finished: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evo.report.won, "edges_for", lambda curve, times: 500.0)
    table = table_of(finished)
    better = with_test_errors(finished, {table.baseline.name: np.multiply(1.5, table.first.errors)})
    level = with_test_errors(finished, {table.baseline.name: np.multiply(np.tile((0.5, 1.6), 6), table.first.errors)})
    staged = table_of(better).with_search_errors({table.first.name: 0.5})
    assert "would need about 500" in evo.report.won.won_in_words(better, table_of(better))
    assert "would need about" not in evo.report.won.won_in_words(level, table_of(level))
    assert "would need about" not in evo.report.won.won_in_words(better, staged), (
        "the curve is of another evaluator's errors"
    )


def test_a_champion_that_is_the_baseline_is_equal_to_it(finished: History) -> None:
    table = table_of(finished)
    same = with_test_errors(finished, {table.baseline.name: table.first.errors})
    assert "**: they are equal." in numbers_in_words(same, table_of(same))


def test_a_win_over_the_baseline_alone_names_the_rows_that_were_not_beaten(finished: History) -> None:
    table = table_of(finished)
    others = [row.name for row in table.others if row is not table.baseline]
    level = dict.fromkeys(others, table.first.errors)
    mixed = with_test_errors(finished, {**level, table.baseline.name: LOSSES, "Clos": LOSSES})
    unbeaten = [name for name in others if name != "Clos"]
    said = f"than the parallel butterfly, but not better than {', '.join(unbeaten[:-1])} and {unbeaten[-1]}."
    assert said in headline(table_of(mixed)) and "The champion is level with the best that" in description(mixed)
    assert "does not beat random search** here" in description(mixed) and "is not told apart from" in description(mixed)


def test_the_champion_shuffled_says_whether_its_wiring_counts(finished: History) -> None:
    table = table_of(finished)
    shuffled = table.get(SHUFFLED)
    assert shuffled is not None and shuffled.topology.n_trainable == table.first.topology.n_trainable
    won = with_test_errors(finished, {SHUFFLED: np.add(LOSSES, table.first.errors)})
    assert "How the champion is wired counts" in description(won)
    level = with_test_errors(finished, {SHUFFLED: table.first.errors})
    assert "does **not show that its wiring counts**" in description(level)


@pytest.mark.parametrize(
    ("apart", "words"), [(LOSSES, "is better than"), (0.0, "is not told apart from"), (np.negative(LOSSES), "is worse")]
)
def test_dense_layers_say_what_sparse_ones_cost(finished: History, apart: Any, words: str) -> None:
    history = with_test_errors(finished, {SHUFFLED: np.add(apart, table_of(finished).first.errors)})
    table = table_of(history)
    rows = tuple(replace(row, name=DENSE) if row.name == SHUFFLED else row for row in table.rows)
    table = FinalTable(rows, table.baseline_name)
    assert dense_words(table).startswith(f"With 100 % of their weights the champion {words}")
    assert ("(equal)" in dense_words(table)) == (words == "is not told apart from")
    assert dense_words(table) in verdict(table) and table.best.name != DENSE
    assert DENSE not in headline(table)


errors = st.lists(st.floats(0.01, 1.0), min_size=12, max_size=12)


@settings(max_examples=30, deadline=None)
@given(first=errors, second=errors)
def test_the_verdict_on_the_baseline_is_that_of_a_paired_t_test_corrected_for_all_rows(
    finished: History, first: list[float], second: list[float]
) -> None:
    history = with_test_errors(finished, {"evolved champion": first, "parallel butterfly": second})
    table = table_of(history)
    difference = table.first.minus(table.baseline)
    assume(min(abs(difference.low), abs(difference.high)) > 1e-9 and np.std(np.subtract(first, second)) > 1e-9)
    tests = {row.name: stats.ttest_rel(first, row.errors) for row in table.others if list(row.errors) != first}
    ranked = sorted(tests, key=lambda name: tests[name].pvalue)
    corrected = [tests[name].pvalue * (len(table.others) - place) for place, name in enumerate(ranked)]
    adjusted = dict(zip(ranked, np.maximum.accumulate(corrected), strict=True))
    assume(all(abs(value - 0.05) > 1e-9 for value in adjusted.values()))
    if adjusted["parallel butterfly"] > 0.05:
        assert headline(table).startswith("The evolved topology is not told apart from the parallel butterfly.")
    else:
        better = tests["parallel butterfly"].statistic < 0
        assert headline(table).startswith("Evolution found" if better else "The parallel butterfly")


def test_the_three_lines_of_python_work(finished: History) -> None:
    code = description(finished).split("```python\n")[1].split("```")[0]
    names = {"x": torch.ones(5, 8)}
    exec(code, names)
    assert names["y"].shape == (5, 8)


def test_what_the_champion_and_the_baseline_control_is_told(finished: History) -> None:
    text = description(finished)
    for row in (table_of(finished).first, table_of(finished).baseline):
        control = Controllability("uniform").analyse(row.topology)
        assert f"the {row.name} controls {control.total:.0f} of 56 ratios of inputs (unfairness" in text


def test_a_run_that_was_stopped_says_how_far_it_got_and_how_to_go_on(finished: History, tmp_path: Path) -> None:
    generations = [place for place, one in enumerate(finished.records) if isinstance(one, GenerationRecord)]
    stop = EndRecord(status="KILLED", time=1.0)
    stopped = rewritten(finished, tmp_path / "stopped", [*finished.records[: generations[2] + 1], stop])
    text = description(stopped)
    last = finished.records[generations[2]]
    assert isinstance(last, GenerationRecord)
    assert "was stopped" in text and f"{last.candidates} candidates" in text and f"{last.best:.4f}" in text
    assert f'evofabric resume "{stopped.folder}"' in text
    assert "test split yet" in text


def test_the_state_of_a_run_is_its_last_word(finished: History, tmp_path: Path) -> None:
    begun = finished.records[:20]
    end = EndRecord(status="FAILED", why="the disk is full", time=2.0)
    assert History(finished.folder, begun).status == "RUNNING"
    failed = rewritten(finished, tmp_path / "failed", [*begun, end])
    assert (failed.status, failed.end) == ("FAILED", 2.0) and "the disk is full" in description(failed)
    continued = [*begun, end, *finished.records[20:30]]
    assert History(finished.folder, tuple(continued)).status == "RUNNING"
    died = rewritten(finished, tmp_path / "died", continued)
    assert died.status == "KILLED"  # nothing says so, but no process has the journal open
    assert finished.status == "FINISHED"


def test_a_baseline_that_makes_no_error_has_no_ratio_but_words(finished: History) -> None:
    history = with_test_errors(finished, {"parallel butterfly": [0.0] * 12})
    table = table_of(history)
    assert headline(table).startswith("The parallel butterfly is better than the evolved topology.")
    text = description(history)
    assert "**0**: a difference of +0." in text and "% more" not in text and "% less" not in text
    assert "| 0 &emsp;| the baseline |" in final_table_markdown(table)
    row = next(row for row in parsed(final_table_csv(history)) if row["topology"] == "parallel butterfly")
    assert float(row["error"]) == 0
    assert "Test error **0**" in about_family(history, "parallel_butterfly")


@pytest.mark.parametrize(("error", "told"), [(0.0, "the baseline 0."), (None, "the baseline none.")])
def test_a_search_under_way_tells_of_a_baseline_without_an_error(
    finished: History, error: float | None, told: str
) -> None:
    generations = [place for place, one in enumerate(finished.records) if isinstance(one, GenerationRecord)]
    begun = History(finished.folder, finished.records[: generations[2] + 1])
    assert told in description(with_baseline(begun, error))


def test_errors_of_another_evaluator_are_told_as_what_they_are(finished: History) -> None:
    history = by_mine(finished)
    table = table_of(history)
    text = description(history)
    assert "the evolved champion's error by Mine is" in text and "relative error" not in text
    assert f"**{significant(table.first.error.mean)}**" in text
    begun = History(history.folder, history.records[:-10])
    assert "error by Mine" in description(begun) and "relative error" not in description(begun)


def test_no_interval_is_told_where_errors_are_no_sample(finished: History) -> None:
    history = by_mine(finished)
    text, table = description(history), table_of(history)
    assert "95 % intervals" not in text and "±" not in text and " to +" not in text and " to -" not in text
    assert ", deterministic" in text
    for row in table.others:
        difference = table.first.minus(row)
        assert difference.is_deterministic and difference.low == difference.high == difference.mean
    for line in final_table_markdown(table).splitlines()[2:]:
        assert line.endswith(("deterministic |", "equal |", "the baseline |"))
    assert all(row["error_low"] == row["error"] == row["error_high"] for row in parsed(final_table_csv(history)))


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the folder of a run"):
        History.of(tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ((0.1, 0.2, 0.3), (0.11, 0.21, 0.31), r"a gap of \+0\.010 ± 0\.025"),  # equal ones may be so by chance
        ((0.1, 0.2, 0.3), (0.1 + 1e-17, 0.2 - 3e-17, 0.3), "no gap"),
        ((0.2,), (0.25,), r"a gap of \+0\.05000 ± unknown"),
        ((0.1, 0.2, 0.4), (0.2, 0.25, 0.4), r"a gap of \+0\.05 ± 0\.12"),
    ],
)
def test_the_gap_of_finalists_that_were_trained_afresh_is_as_uncertain_as_it_is(
    before: tuple[float, ...], after: tuple[float, ...], words: str
) -> None:
    def record(error: float) -> SimpleNamespace:
        return SimpleNamespace(error=error, score=Score((error,)))

    history = SimpleNamespace(retrained=[(record(one), record(two)) for one, two in zip(before, after, strict=True)])
    assert re.search(rf": {words}\.$", retrained_words(cast(History, history)))
