"""The report in a run's folder: one page that has everything, needs nothing, and trusts no name."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Mapping
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from evo.algorithm.nsga2 import Policy
from evo.report.artifacts import write_artifacts, write_report
from evo.report.csv_tables import final_table_csv
from evo.report.html.ancestry import ancestry
from evo.report.html.page import report_page
from evo.report.side_by_side import differing, side_by_side
from evo.report.text import FILES, verdict_in_words
from evo.storage.champion import BEST_ROW, UNSEARCHED_ROW
from evo.storage.history import History
from evo.storage.populations import populations
from evo.storage.records import EndRecord, Header, ScoreRecord, TableRecord
from tests.evo.histories import by_mine, rewritten, with_test_errors


class Page(HTMLParser):
    """A page's tags, its text by the tag that it stands in, and the rows of its tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.rows: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "tr":
            self.rows.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        tag = self._open[-1] if self._open else ""
        self.texts[tag] = self.texts.get(tag, "") + data
        if "tr" in self._open:
            self.rows[-1] += f" {data.strip()}"


@pytest.fixture(scope="module")
def reported(finished: History, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a copy of the run, with its report."""
    copy = rewritten(finished, tmp_path_factory.mktemp("reported") / "run")
    return write_report(copy.folder).parent


def test_the_page_has_the_verdict_and_every_row_by_its_error(finished: History, reported: Path) -> None:
    page, table = Page((reported / "report.html").read_text()), finished.table
    assert table is not None
    assert page.texts["h1"] == verdict_in_words(table)
    told = [row for row in page.rows if re.match(r"\s*\d+\s", row)]
    for row in table.rows:
        (line,) = (one for one in told if f"{row.error.mean:.4f}" in one and re.search(rf"\b{row.name}\b", one))
        assert row.label in line and f" {row.topology.n_edges} " in f"{line} "
    errors = [float(re.search(r"0\.\d{4}", row)[0]) for row in told]
    assert errors == sorted(errors)


def test_rows_of_one_topology_and_error_are_one_line(finished: History) -> None:
    table = finished.table
    assert table is not None
    alike = (table.baseline.topology, table.baseline.errors)
    same = {row.name for row in table.rows if (row.topology, row.errors) == alike}
    assert len(same) > 1  # the butterfly of the same depth is the same topology
    found = [row for row in Page(report_page(finished, {})).rows if re.match(r"\s*\d+\s", row)]
    assert len([row for row in found if any(name in row for name in same)]) == 1


def test_the_page_asks_nothing_of_any_other_place(reported: Path) -> None:
    text = (reported / "report.html").read_text()
    page = Page(text)
    assert not re.search(r"https?:|//[a-z]+\.[a-z]", re.sub(r"base64,[\w+/=]+", "", text))
    outside = [value for tag, found in page.tags for key, value in found.items() if key in ("src", "href", "action")]
    assert all(value.startswith("data:") or (reported / value).is_file() for value in outside if value)
    assert {"link", "img", "script"} <= {tag for tag, _ in page.tags}
    assert not [found for tag, found in page.tags if tag == "script" and "src" in found]


def test_everything_that_is_named_is_beside_it(finished: History, reported: Path) -> None:
    wanted = FILES.keys() - {"finalists.csv", BEST_ROW, UNSEARCHED_ROW}
    assert {one.name for one in reported.iterdir()} >= wanted
    assert (reported / "final_table.csv").read_text() == final_table_csv(finished)


def test_it_is_made_again_the_same_and_copied_for_others(reported: Path, tmp_path: Path) -> None:
    before = {one.name: one.read_bytes() for one in reported.iterdir()}
    write_report(reported)
    assert {one.name: one.read_bytes() for one in reported.iterdir()} == before
    write_artifacts(History.of(reported), tmp_path)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()}.items() <= before.items()
    assert (tmp_path / "report.html").is_file()


def test_the_page_of_a_shorter_search_is_not_taken_for_that_of_the_longer_whatever_the_clock_says(
    finished: History, reported: Path, tmp_path: Path
) -> None:
    records, result = list(finished.records), finished.result
    assert result is not None
    records[records.index(result)] = result.model_copy(update={"digest": "longer"})
    history = rewritten(finished, tmp_path / "run", records)
    page = tmp_path / "run" / "report.html"
    page.write_bytes((reported / "report.html").read_bytes())
    os.utime(page, (2**32, 2**32))  # made long after the journal's records
    (tmp_path / "copy").mkdir()
    write_artifacts(history, tmp_path / "copy")
    assert ">longer<" in (tmp_path / "copy" / "report.html").read_text()


def test_names_are_text_whatever_they_hold(finished: History, tmp_path: Path) -> None:
    evil = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'

    def changed(record: object) -> object:
        if isinstance(record, ScoreRecord):
            update = {"operator": evil, "family": evil} if record.phase == "evolution" else {"label": evil}
            origin = type(record.origin)(**{**vars(record.origin), **update})
            return record.model_copy(update={"origin": origin})
        if isinstance(record, TableRecord):
            rows = tuple(row.model_copy(update={"label": evil}) for row in record.rows)
            return record.model_copy(update={"rows": rows})
        return record

    history = History(tmp_path / "run<b>", tuple(changed(one) for one in finished.records))  # type: ignore[arg-type]
    text = report_page(history, {})
    plain = report_page(finished, {})
    assert evil not in text and unescape(text).count(evil) > len(finished.scores("evolution")) / 4
    tags = [tag for tag, _ in Page(text).tags]
    assert tags.count("script") == [tag for tag, _ in Page(plain).tags].count("script") and "b" in tags
    values = json.loads(re.search(r'id="course">(.*?)</script>', text, re.S)[1])
    assert values["families"][0]["name"] == evil


def test_the_chart_has_every_candidate_and_the_front(finished: History) -> None:
    found = re.search(r'id="course">(.*?)</script>', report_page(finished, {}), re.S)
    assert found is not None
    values = json.loads(found[1])
    candidates = finished.scores("evolution")
    assert [one[0] for one in values["candidates"]] == [one.number for one in candidates]
    errors = [one[2] for one in values["candidates"]]
    expected = [None if one.failure else one.error for one in candidates]
    assert all(a == b or a == pytest.approx(b, rel=1e-5) for a, b in zip(errors, expected, strict=True))
    assert any(one is None for one in errors)


def test_parents_were_in_the_population_that_is_shown(finished: History) -> None:
    found, pending = populations(finished), finished.settings["loop"]["max_pending_generations"]
    assert len(found) == len(finished.generations(Policy.EVOLUTION))
    bred = [one for one in finished.scores("evolution") if one.origin.parents]
    assert bred
    for one in bred:
        assert set(one.origin.parents) <= set(found[one.origin.generation - pending])


def test_ancestors_lead_to_the_initial_population_in_lanes(finished: History) -> None:
    for candidate in finished.scores("evolution"):
        found = ancestry(finished, candidate)
        numbers = [one.record.number for one in found]
        assert found[0].record is candidate and found[0].lane == 0 and numbers == sorted(numbers, reverse=True)
        for row, one in enumerate(found):
            assert [numbers[parent] for parent in one.parents] == list(dict.fromkeys(one.record.origin.parents))
            assert all(parent > row for parent in one.parents)
            assert bool(one.parents) == (one.record.origin.operator not in ("initial", "sample"))
            assert not one.parents or found[one.parents[0]].lane <= one.lane
        assert {one.number for one in finished.lineage(candidate)} <= set(numbers)


def test_a_run_that_was_stopped_has_a_report_too(finished: History, tmp_path: Path) -> None:
    records = [one for one in finished.records if not isinstance(one, TableRecord)]
    stopped = rewritten(finished, tmp_path / "run", records[: len(records) // 2])
    for history in (stopped, rewritten(finished, tmp_path / "begun", records[:3])):
        page = write_report(history.folder)
        assert "No verdict yet" in page.read_text() and "resume" in page.read_text()


def test_a_report_that_cannot_be_made_is_one_line(finished: History, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not the folder of a run"):
        write_report(tmp_path)
    copy = rewritten(finished, tmp_path / "run")
    (copy.folder / "report.html").mkdir()
    with pytest.raises(ValueError, match="the report cannot be written into"):
        write_report(copy.folder)


def test_a_difference_that_is_a_loss_is_told_as_one(finished: History) -> None:
    table = finished.table
    assert table is not None
    lost = with_test_errors(finished, {table.first.name: np.add(table.first.errors, 1 + 0.01 * np.arange(12))})
    page = Page(report_page(lost, {}))
    assert page.texts["h1"] == "The parallel butterfly is better than the evolved topology."
    assert "worse than" in page.texts["dt"]


def test_the_page_says_by_what_rows_are_told_apart(finished: History) -> None:
    assert report_page(finished, {}).count("Holm") == 1
    assert "Holm" not in report_page(by_mine(finished), {}), "what is no sample has nothing to correct"


def printed(first: History, second: History) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    for part in side_by_side(first, second):
        console.print(part)
    return console.export_text()


def test_two_runs_are_told_apart_by_settings_and_paired_where_that_is_fair(finished: History) -> None:
    table = finished.table
    assert table is not None
    worse = with_test_errors(finished, {table.first.name: np.add(table.first.errors, 0.5 + 0.001 * np.arange(12))})
    text = " ".join(printed(finished, worse).split())
    assert "settings are the same" in text and "champion of A is better than that of B: -0.505" in text
    assert all(f"{row.name} " in text for row in table.rows)
    other = with_settings(finished, {"seed": 9, "loop": {**finished.settings["loop"], "generations": 9}})
    assert differing(finished.settings, other.settings) == {"seed": (3, 9), "loop.generations": (8, 9)}
    text = printed(finished, other)
    assert "loop.generations" in text and "different targets" in text
    stopped = History(finished.folder, (finished.header, EndRecord(status="KILLED")))
    assert f"{finished.folder.name}: stopped, no final table" in printed(finished, stopped)


def with_settings(history: History, values: Mapping[str, object]) -> History:
    """The history of a run whose recipe says these, too."""
    header, *rest = history.records
    assert isinstance(header, Header)
    return History(history.folder, (header.model_copy(update={"settings": {**header.settings, **values}}), *rest))


def test_runs_on_the_same_data_are_paired_whatever_else_was_said_of_it(finished: History) -> None:
    def on_data(fingerprint: str, folds: int | None = None, task: str = "regression", words: str = "old") -> History:
        training = {"data": words, "folds": folds, "dense": words == "old"}
        found = {"fingerprint": fingerprint, "about": words, "task": task}
        return with_settings(finished, {"training": training, "found": found})

    first = on_data("a")
    assert "paired over the same test targets" in printed(first, on_data("a", words="new"))
    for other in (on_data("b"), on_data("a", folds=5), on_data("a", task="classification")):
        assert "different targets" in " ".join(printed(first, other).split())
