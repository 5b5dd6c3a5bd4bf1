"""A run in words and tables: nothing missing, and nothing better than it is."""

from __future__ import annotations

import csv
import io
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluators import Controllability
from evo.report.text import (
    candidates_csv,
    compare,
    description,
    final_table_csv,
    final_table_markdown,
    headline,
    trials_csv,
)
from evo.storage.history import History
from evo.storage.journal import Record
from tests.evo.histories import rewritten, with_held_out

BIRTHS = ("evolution", "random search")

LOSSES = tuple(0.3 + 0.01 * number for number in range(12))
"""Test errors above all that the formula gives."""


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def journal(history: History) -> list[Record]:
    """The journal's records, read without the project's code."""
    return [json.loads(line[9:]) for line in (history.folder / "journal.jsonl").read_text().splitlines()]


def test_every_birth_has_a_row_with_what_the_journal_says(finished: History) -> None:
    candidates = [one for one in journal(finished) if one["kind"] == "score" and one["phase"] in BIRTHS]
    rows = {(row["phase"], int(row["number"])): row for row in parsed(candidates_csv(finished))}
    assert rows.keys() == {(one["phase"], one["number"]) for one in candidates}
    assert any(one["failure"] for one in candidates)
    for one in candidates:
        row = rows[one["phase"], one["number"]]
        assert row["digest"] == one["digest"]
        assert row["operator"] == one["operator"] and row["family"] == one["family"]
        assert [int(parent) for parent in row["parents"].split()] == one["parents"]
        assert (int(row["n_edges"]), int(row["depth"])) == (one["n_edges"], one["depth"])
        if one["failure"]:
            assert row["error"] == "" and row["failure"] == one["failure"]
        else:
            assert float(row["error"]) == pytest.approx(np.mean(one["errors"]), rel=1e-12)


def test_every_trial_has_a_row(finished: History) -> None:
    trials = [one for one in journal(finished) if one.get("phase") == "tune clos"]
    rows = parsed(trials_csv(finished, "clos"))
    assert [row["member"] for row in rows] == [one["label"] for one in sorted(trials, key=lambda one: one["number"])]


def test_the_final_table_has_the_means_and_paired_intervals(finished: History) -> None:
    held_out = {one["phase"][10:]: one["errors"] for one in journal(finished) if one.get("split") == "test"}
    rows = parsed(final_table_csv(finished))
    assert {row["topology"] for row in rows} == set(held_out)
    for row in rows:
        errors = np.array(held_out[row["topology"]])
        assert float(row["error"]) == pytest.approx(errors.mean())
        if row["topology"] == "parallel butterfly":
            assert row["difference"] == ""
            continue
        paired = stats.ttest_rel(errors, held_out["parallel butterfly"]).confidence_interval(0.95)
        expected = (pytest.approx(paired.low, abs=1e-12), pytest.approx(paired.high, abs=1e-12))
        assert (float(row["low"]), float(row["high"])) == expected
        assert f"{errors.mean():.4f}" in final_table_markdown(finished)


def test_a_lineage_leads_from_no_parents_to_the_candidate(finished: History) -> None:
    candidates = finished.scores("evolution")
    for candidate in candidates:
        line = finished.lineage(candidate)
        assert line[0]["parents"] == [] and line[-1] is candidate
        assert all(child["parents"][0] == mother["number"] for mother, child in pairwise(line))


def test_the_champions_lineage_is_told_by_operators(finished: History) -> None:
    candidates = finished.scores("evolution")
    crossed = max(
        (one for one in candidates if one["operator"] == "crossover"), key=lambda one: len(finished.lineage(one))
    )
    table = json.loads(json.dumps(finished.table))
    table["rows"][0]["digest"] = crossed["digest"]
    records = tuple(table if one["kind"] == "table" else one for one in finished.records)
    text = description(History(finished.folder, records))
    line = finished.lineage(crossed)
    assert all(f"`{one['operator']}` {one['number']}" in text for one in line)
    assert f"in {len(line) - 1} step" in text and f"(with {crossed['parents'][1]}, from `" in text


def test_a_win_over_all_is_said(finished: History) -> None:
    won = with_held_out(finished, {row.kind: np.add(LOSSES, row.errors) for row in finished.rows[1:]})
    assert headline(won) == "Evolution found a better topology than the hand-derived one."
    text = description(won)
    assert "not told apart" not in text and "worse than" not in text and "Evolution earned its keep" in text


def test_a_loss_to_the_baseline_is_said(finished: History) -> None:
    lost = with_held_out(finished, {"evolved champion": LOSSES})
    assert headline(lost) == "The hand-derived topology is better than the evolved one."
    assert "better than**" not in description(lost)
    assert "does not beat random search** here" in description(lost) and "did better" in description(lost)


def test_a_win_over_the_baseline_alone_names_the_rows_that_were_not_beaten(finished: History) -> None:
    champion, baseline, *others = finished.rows
    level = dict.fromkeys((row.kind for row in others), champion.errors)
    mixed = with_held_out(finished, {**level, baseline.kind: LOSSES, "Clos": LOSSES})
    unbeaten = [row.kind for row in others if row.kind != "Clos"]
    said = f"than the hand-derived one, but not better than {', '.join(unbeaten[:-1])} and {unbeaten[-1]}."
    assert headline(mixed).endswith(said)
    assert "does not beat random search** here" in description(mixed) and "did as well" in description(mixed)


errors = st.lists(st.floats(0.01, 1.0), min_size=12, max_size=12)


@settings(max_examples=30, deadline=None)
@given(first=errors, second=errors)
def test_the_verdict_on_the_baseline_is_that_of_a_paired_t_test(
    finished: History, first: list[float], second: list[float]
) -> None:
    history = with_held_out(finished, {"evolved champion": first, "parallel butterfly": second})
    difference = compare(*history.rows[:2])
    assume(min(abs(difference.low), abs(difference.high)) > 1e-9 and np.std(np.subtract(first, second)) > 1e-9)
    test = stats.ttest_rel(first, second)
    if test.pvalue > 0.05:
        assert headline(history) == "The evolved topology is not told apart from the hand-derived one."
    else:
        assert headline(history).startswith("Evolution found" if test.statistic < 0 else "The hand-derived")


def test_the_three_lines_of_python_work(finished: History) -> None:
    code = description(finished).split("```python\n")[1].split("```")[0]
    names = {"x": torch.ones(5, 8)}
    exec(code, names)
    assert names["y"].shape == (5, 8)


def test_what_the_champion_and_the_baseline_control_is_told(finished: History) -> None:
    text = description(finished)
    for row in finished.rows[:2]:
        control = Controllability("uniform").analyse(row.topology)
        assert (
            f"the {row.kind} controls {control.total:.0f} ratios of inputs (unfairness {control.unfairness:.3f})"
            in text
        )
    assert "Of the 56 there are" in text  # 8 outputs, 7 ratios of 8 inputs each


def test_a_run_that_was_stopped_says_how_far_it_got_and_how_to_go_on(finished: History, tmp_path: Path) -> None:
    generations = [place for place, one in enumerate(finished.records) if one["kind"] == "generation"]
    stop = {"kind": "end", "status": "KILLED", "why": "", "time": 1.0}
    stopped = rewritten(finished, tmp_path / "stopped", [*finished.records[: generations[2] + 1], stop])
    text = description(stopped)
    last = finished.records[generations[2]]
    assert "was stopped" in text and f"{last['candidates']} candidates" in text and f"{last['best']:.4f}" in text
    assert f'evofabric resume "{stopped.folder}"' in text
    assert "test targets yet" in text


def test_the_state_of_a_run_is_its_last_word(finished: History, tmp_path: Path) -> None:
    begun = finished.records[:20]
    end = {"kind": "end", "status": "FAILED", "why": "the disk is full", "time": 2.0}
    assert History(finished.folder, begun).status == "RUNNING"
    failed = rewritten(finished, tmp_path / "failed", [*begun, end])
    assert (failed.status, failed.end) == ("FAILED", 2.0) and "the disk is full" in description(failed)
    continued = [*begun, end, *finished.records[20:30]]
    assert History(finished.folder, tuple(continued)).status == "RUNNING"
    died = rewritten(finished, tmp_path / "died", continued)
    assert died.status == "KILLED"  # nothing says so, but no process has the journal open
    assert finished.status == "FINISHED"


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the folder of a run"):
        History.of(tmp_path)
