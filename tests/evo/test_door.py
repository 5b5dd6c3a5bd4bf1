"""The search from Python, and its result as notebooks show it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import evo
from evaluators import Fidelity, Score, Split
from evo.console.notebook import NotebookProgress
from evo.experiment import search as loop
from tests.fakes import recipe
from topologies import Topology


def by_depth(topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
    """A plain function as an evaluator."""
    noise = np.random.default_rng([seed, *split.encode()]).normal(0, 0.1, fidelity.targets)
    return Score(topology.depth + noise)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> evo.Result:
    return evo.search(recipe(runs=str(tmp_path_factory.mktemp("runs"))), by_depth)


def test_a_result_tells_itself_in_a_line(result: evo.Result) -> None:
    assert repr(result).startswith("Result(evolved champion ") and "\n" not in repr(result)
    assert len(repr(result)) < 250 and str(result.folder) in repr(result)


def test_a_result_is_a_table_in_a_notebook_and_a_frame(result: evo.Result) -> None:
    frame, page = result.to_frame(), result._repr_html_()
    assert list(frame.index) == [row.name for row in sorted(result.table.rows, key=lambda row: row.error.mean)]
    for row in result.table.rows:
        assert frame.loc[row.name, "error"] == row.error.mean and frame.loc[row.name, "depth"] == row.topology.depth
        assert f">{row.name}<" in page
    assert page.count("<tr>") == 1 + len(result.table.rows) and str(result.champion_file) in page


@pytest.mark.parametrize("name", ["progress", "front", "table", "topology", "masks"])
def test_figures_are_methods(result: evo.Result, name: str) -> None:
    assert getattr(result, f"plot_{name}")()._repr_png_().startswith(b"\x89PNG")


def test_a_result_is_what_the_search_below_finds(result: evo.Result, tmp_path: Path) -> None:
    found = loop.search(recipe(), by_depth, folder=tmp_path)
    assert (found.digest, found.table) == (result.digest, result.table)


def test_progress_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []
    evo.search(recipe(), by_depth, folder=tmp_path, watcher=seen.append, progress=True)
    assert seen and "1 workers ready" in capsys.readouterr().out


def bars(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[str]:
    """What a notebook is shown, where a bar is drawn again after so many seconds."""
    shown: list[str] = []

    class Output:
        update = staticmethod(shown.append)

    display = ModuleType("IPython.display")
    display.HTML, display.display = str, lambda first, display_id: Output()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr("evo.console.notebook.UPDATE_SECONDS", seconds)
    monkeypatch.setattr("evo.console.notebook.progress_display", lambda one: NotebookProgress(one, evo_console()))
    return shown


def test_a_notebook_shows_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = bars(monkeypatch, seconds=0.0)
    evo.search(recipe(), by_depth, folder=tmp_path, progress=True)
    shares = [float(one.partition('value="')[2].partition('"')[0]) for one in shown]
    assert shares == sorted(shares) and shares[-1] > 0.5 and "evolution" in "".join(shown)


def test_the_bar_of_a_notebook_ends_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = bars(monkeypatch, seconds=1e9)  # no other is drawn
    evo.search(recipe(), by_depth, folder=tmp_path, progress=True)
    assert shown == ['<progress value="1.000" max="1"></progress> 100% finished']


def evo_console() -> Any:
    """A console without a terminal."""
    from rich.console import Console

    return Console(quiet=True)
