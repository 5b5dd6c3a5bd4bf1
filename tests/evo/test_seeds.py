"""A search that is repeated over seeds says what it found, also where it is stopped on the way."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from evo.console.search import Stopped
from evo.console.seeds import search_seeds
from evo.settings import Settings
from evo.storage.history import History
from tests.commands import Commands
from tests.fakes import SEED, recipe

QUICKLY = """
n_in = 8
n_out = 8
budget = 40
evaluator = "tests.fakes:HashEvaluator"
[loop]
generations = 1
offspring = 4
population = 4
[tuning]
trials = 1
[fidelity]
finalists = 1
[cluster]
pool = "in-process"
[tracking]
uri = "sqlite:///t.db"
"""


@dataclass
class Found:
    """Of the result of a search what the spread is made of."""

    table: Any
    folder: Path = Path("run")


def until_stopped(finished: History, stop: BaseException, folder: Path = Path("run")) -> str:
    """What is printed where the third of four searches, whose folder is given, is stopped so."""
    console = Console(width=120, file=(said := io.StringIO()))

    def search(settings: Settings) -> Any:
        if settings.seed == SEED + 2:
            raise stop
        return Found(finished.table, folder)

    with pytest.raises(type(stop)) as ended:
        search_seeds(recipe(), 4, search, console, as_json=False)
    assert ended.value is stop
    return said.getvalue()


@pytest.mark.parametrize(
    ("stop", "shown", "left"),
    [
        (Stopped(None), "seeds 3, 4", "5, 6. Search with them: the same command with --set seed=5 --seeds 2"),
        (Stopped(Path("run")), "seeds 3, 4", "6. Search with them: the same command with --set seed=6 --seeds 1"),
    ],
    ids=["before it began", "under way"],
)
def test_what_ended_before_a_stop_is_shown_and_how_to_go_on(
    finished: History, stop: Stopped, shown: str, left: str
) -> None:
    said = until_stopped(finished, stop)
    assert "Test error by seed" in said and shown in said
    assert f"Seeds that were not begun: {left}\n" in said


def test_seeds_are_searched_with_the_recipe_that_was_made_for_the_first(finished: History, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").touch()
    said = until_stopped(finished, Stopped(None), tmp_path)
    assert f'5, 6. Search with them: evofabric search "{tmp_path}/recipe.toml" --set seed=5 --seeds 2\n' in said


def test_seeds_are_told_wherever_a_search_is_interrupted(finished: History) -> None:
    said = until_stopped(finished, KeyboardInterrupt())
    assert "seeds 3, 4" in said and "not begun: 6." in said


def test_a_seed_that_ended_while_mlflow_was_waited_for_counts(finished: History) -> None:
    said = until_stopped(finished, Stopped(Path("run"), Found(finished.table)))  # type: ignore[arg-type]
    assert "seeds 3, 4, 5" in said and "not begun: 6." in said


def test_a_single_search_that_is_stopped_has_no_spread() -> None:
    console = Console(file=(said := io.StringIO()))

    def search(settings: Settings) -> Any:
        raise Stopped(None)

    with pytest.raises(Stopped):
        search_seeds(recipe(), 1, search, console, as_json=False)
    assert said.getvalue() == ""


@pytest.mark.end_to_end
def test_the_spread_is_the_last_line_of_json(command: Commands, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(QUICKLY)
    done = command(tmp_path, "search", "recipe.toml", "--seeds", "2", "--json", PYTHONPATH=str(Path.cwd()))
    assert done.returncode == 0, done.stderr
    *each, last = (json.loads(line) for line in done.stdout.splitlines())
    spread = {row["name"]: row for row in last["spread"]}
    champions = [next(row["error"] for row in one["rows"] if row["name"] == one["first"]) for one in each]
    assert spread["evolved champion"]["errors"] == {"1": champions[0], "2": champions[1]}
    assert spread["evolved champion"]["mean"] == pytest.approx(sum(champions) / 2)
    assert spread["evolved champion"]["deviation"] == pytest.approx(abs(champions[0] - champions[1]) / 2**0.5)
