"""Tables for the terminal: what errors are called, and nothing that ends in a division by zero."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from evo.console import search as console_search
from evo.experiment.search import Result
from evo.report.listing import runs
from evo.report.tables import comparison_table, runs_table, spread_table, verdict
from evo.report.text import Words
from evo.storage.history import History
from evo.storage.records import GenerationRecord
from evo.storage.results import FinalTable
from tests.evo.histories import by_mine, rewritten, small, with_baseline, with_test_errors


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
    return with_test_errors(with_baseline(finished, 0.0), {"parallel butterfly": [0.0] * 12})


def test_every_row_has_its_error_and_its_difference(finished: History) -> None:
    table = table_of(finished)
    text = printed(comparison_table(table, Words("relative error")))
    equal = sum(row.difference is not None and row.difference.mean == 0 for row in table.rows)
    assert "Relative error on 12 test targets" in text and text.count("the baseline") == 2
    assert (text.count("±"), text.count(" equal")) == (len(table.rows) - 1 - equal, equal)
    assert all(row.name in text and f"{row.error.mean:.4f}" in text for row in table.rows)


def test_a_member_can_be_copied_whole_from_a_terminal_of_80_columns(finished: History) -> None:
    assert "…" not in printed(comparison_table(table_of(finished), Words("relative error")), width=80)


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
