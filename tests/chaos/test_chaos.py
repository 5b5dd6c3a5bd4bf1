"""A few rounds of chaos; `make chaos` runs them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from evo.storage.records import ScoreRecord
from tests.chaos.__main__ import FAULTS
from tests.chaos.evaluator import SLOWLY
from tests.chaos.stage import FAILED, KILLED, STOPPED, Calm, Home, Stage, calm
from tests.chaos.steps import STEPS

SHORT = (
    "SIGKILL in the middle of a record",
    "SIGKILL between disk and telling",
    "SIGKILL while resuming",
    "Ctrl-C",
    "no room for the journal",
    "checkpoint damaged",
    pytest.param("Ray: actor and driver killed", marks=pytest.mark.ray),
)


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    home = Home()
    yield home
    home.close()


@pytest.fixture(scope="module")
def undisturbed(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Calm:
    return calm(tmp_path_factory.mktemp("undisturbed") / "run", home)


@pytest.mark.parametrize("name", SHORT)
def test_a_search_survives(name: str, home: Home, undisturbed: Calm, tmp_path: Path) -> None:
    stage = Stage(tmp_path / "round", home, undisturbed)
    FAULTS[name](stage, np.random.default_rng(0))
    stage.finish()


@pytest.mark.parametrize("step", [step for step in STEPS if step not in ("interrupted again", "forgetful")])
def test_a_step_at_which_faults_fall_is_one_that_a_search_takes(step: str, home: Home, tmp_path: Path) -> None:
    stage = Stage(tmp_path / "round", home, None, environment={SLOWLY: "0"})
    ends = {"interrupted in write": STOPPED, "disk fills": FAILED}
    if step == "agreeing":  # which only a search that is resumed does
        assert stage.drive("breeding") == KILLED
    before = len(stage.fallen)
    assert stage.drive(step) == ends.get(step, KILLED), stage.story()
    assert len(stage.fallen) == before + 1, stage.story()


@pytest.mark.parametrize("way", range(3))
def test_a_stop_takes_the_steps_at_which_a_second_one_falls(way: int, home: Home, tmp_path: Path) -> None:
    stage = Stage(tmp_path / "round", home, None, environment={SLOWLY: "0"})
    assert stage.drive("interrupted again", way, moments=[(1, 0.0, "interrupt")]) == STOPPED, stage.story()
    assert len(stage.fallen) == 2, stage.story()


def test_the_undisturbed_run_is_no_easy_one(undisturbed: Calm) -> None:
    scores = [one for one in undisturbed.records if isinstance(one, ScoreRecord)]
    numbers = [one.number for one in scores if one.phase == "evolution"]
    assert numbers != sorted(numbers), "answers arrive out of order"
    assert {one.entry is not None for one in scores} == {True, False}, "races are won and lost"


def test_what_is_evaluated_again_is_noticed(home: Home, undisturbed: Calm, tmp_path: Path) -> None:
    """The rounds' own eyes: a driver that forgets what it knew repeats it, and is caught."""
    stage = Stage(tmp_path / "round", home, undisturbed)
    assert stage.drive("forgetful", moments=[(60, 0.0, "kill")]) == -9
    with pytest.raises(AssertionError, match="evaluated again"):
        stage.drive("forgetful")
        stage.finish()
