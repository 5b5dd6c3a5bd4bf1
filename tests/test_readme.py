"""The README's own code, run as it stands there."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
import typer

from evo.cli import app
from evo.experiment.search import search
from tests.fakes import recipe

HOME = Path(__file__).parents[1]


def block(word: str) -> str:
    """The indented block of the README that holds a word."""
    paragraphs = (HOME / "README.md").read_text(encoding="utf-8").split("\n\n")
    (found,) = [one for one in paragraphs if one.startswith("    ") and word in one]
    return textwrap.dedent(found)


def test_the_evaluator_of_the_readme_scores_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(block("class Mine"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    result = search(recipe(evaluator="mine:Mine", runs=str(tmp_path / "runs")))
    assert result.table.first.errors and len(set(result.table.first.errors)) > 1
    assert abs(result.table.first.error.mean - result.champion.depth) < 0.5


def test_the_commands_and_options_of_the_readme_are_there() -> None:
    lines = [line.split("#")[0].split() for line in block("evofabric families").splitlines()]
    assert len(lines) > 10
    there = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for _, name, *words in lines:
        assert name in there, name
        options = {option for parameter in there[name].params for option in parameter.opts}
        assert [word for word in words if word.startswith("--") and word not in options] == [], name
