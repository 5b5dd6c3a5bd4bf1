"""A search on data without a recipe: what is chosen ends in time, is plain numbers, and is told."""

from __future__ import annotations

import io
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from torch import nn

from evaluators.task import Split
from evaluators.training import TrainedAccuracy
from evaluators.training import pace as timing
from evaluators.training.data import Part
from evaluators.training.pace import pace
from evo.console.for_data import show_choice
from evo.experiment import care, for_data
from evo.experiment.for_data import MadeRecipe, Wanted, budget_of, chosen, plain_recipe
from evo.experiment.pace import seconds_per_step
from evo.experiment.plan import dense_phases, plan
from evo.recipe import as_toml, validate
from evo.storage.pools import evaluator_of
from tests.evaluators.training.examples import blobs, easy
from tests.evo.experiment.clock import steps_taken
from topologies import butterfly


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """6,000 examples of 32 inputs."""
    path = tmp_path_factory.mktemp("data") / "mine too.npz"
    x, y = blobs(examples=6000, inputs=32)
    np.savez(path, x_train=x, y_train=y)
    return str(path)


def found(data: str, monkeypatch: pytest.MonkeyPatch, seconds: float, workers: int = 2, **options: Any) -> MadeRecipe:
    """What is chosen where an epoch takes so many seconds."""
    monkeypatch.setattr(for_data, "seconds_per_epoch", lambda settings: seconds)
    return chosen(Wanted(data, (32, 32), **options), workers)


def minutes(one: MadeRecipe, seconds: float, workers: int) -> float:
    """How long the search takes, simulated."""
    examples = one.settings.training.examples if one.settings.training else None
    share = 1.0 if examples is None else examples / 4800
    return steps_taken(one.settings, workers) * seconds * share / 60


@pytest.mark.parametrize("workers", [1, 2, 16, 64])
@pytest.mark.parametrize("seconds", [0.001, 0.05, 0.5, 3.0, 6.0])
def test_what_is_chosen_ends_in_time_however_long_an_epoch_takes(
    data: str, monkeypatch: pytest.MonkeyPatch, seconds: float, workers: int
) -> None:
    one = found(data, monkeypatch, seconds, workers)
    taken = minutes(one, seconds, workers)
    assert taken <= 15 * (for_data.SHARE if workers <= 16 else 0.8) and one.expected_minutes <= 15.01
    fidelity = one.settings.fidelity
    assert min(fidelity.steps, fidelity.validation_steps) >= 2 and one.settings.loop.generations >= 4
    if seconds in (0.05, 0.5):
        assert taken > 5 or one.settings.loop.generations * one.settings.loop.offspring == care.MOST_CANDIDATES


@pytest.mark.parametrize(
    ("workers", "offspring", "pending"), [(1, 2, 4), (2, 2, 4), (8, 8, 4), (16, 8, 7), (64, 8, 24)]
)
def test_as_few_candidates_are_under_way_as_keep_the_workers_busy_and_never_most_of_them(
    data: str, monkeypatch: pytest.MonkeyPatch, workers: int, offspring: int, pending: int
) -> None:
    loop = found(data, monkeypatch, 0.05, workers).settings.loop
    assert (loop.offspring, loop.max_pending_generations) == (offspring, pending)
    assert (pending - 1) * offspring >= 3 * workers or pending == loop.generations // 4


def test_more_time_and_more_cores_mean_more_work(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(**changes: Any) -> float:
        return sum(phase.cost for phase in plan(found(data, monkeypatch, 0.5, **changes).settings))

    assert work() < work(workers=8) and work() < work(minutes=60)
    assert work(minutes=3) < work()


def test_data_that_are_too_large_are_drawn_from(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(data, monkeypatch, 9.0)
    assert one.settings.training is not None
    examples = one.settings.training.examples
    assert examples is not None and 500 <= examples < 4800
    assert one.seconds_per_epoch == pytest.approx(9.0 * examples / 4800)
    assert f"drawn from the file: at most {examples}" in " ".join(told(one).split())
    with pytest.raises(ValueError, match=r"--minutes 15: .* at least \d+ minutes are needed"):
        found(data, monkeypatch, 5000.0)


@pytest.mark.parametrize("of_test", [0, 3000])
def test_where_examples_are_cut_to_few_tests_there_is_cross_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_test: int
) -> None:
    x, y = blobs(examples=10_000, inputs=32)
    test = {"x_test": x[:of_test], "y_test": y[:of_test]} if of_test else {}
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, **test)
    whole, cut = (found(str(tmp_path / "mine.npz"), monkeypatch, seconds) for seconds in (0.1, 18.0))
    assert whole.settings.training is not None and whole.settings.training.folds is None
    training = cut.settings.training
    assert training is not None and training.examples is not None and 500 <= training.examples < 1000
    assert training.folds == cut.settings.fidelity.test_targets == 5 and cut.expected_minutes <= 15.01


@pytest.mark.parametrize("examples", [300, 350, None])
@pytest.mark.parametrize("seconds", [7.0, 20.0, 2900.0])
def test_the_minutes_that_are_said_to_be_needed_are_enough_and_fewer_are_not(
    data: str, monkeypatch: pytest.MonkeyPatch, seconds: float, examples: int | None
) -> None:
    options = {"epochs": 40, "examples": examples}
    with pytest.raises(ValueError, match=r"--minutes 1: .* at least \d+ minutes are needed") as caught:
        found(data, monkeypatch, seconds, minutes=1, **options)
    needed = int(str(caught.value).split("at least ")[1].split()[0])
    assert found(data, monkeypatch, seconds, minutes=needed, **options).expected_minutes <= needed
    with pytest.raises(ValueError, match=f"at least {needed} minutes are needed"):
        found(data, monkeypatch, seconds, minutes=needed - 1, **options)


def test_the_recipe_repeats_the_choice(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(data, monkeypatch, 0.2)
    assert validate(tomllib.loads(as_toml(one.values))) == one.settings
    assert one.settings.name == "mine-too" and one.settings.budget == round(0.1 * 2 * 32 * 32)


def test_any_plain_values_come_back_from_toml() -> None:
    values = {
        "name": 'a "quoted" \\ name, é',
        "on": True,
        "share": 1e-7,
        "many": [1, 2.5],
        "section": {"text": "a\nb", "deeper": {}, "rates": [0.1]},
    }
    values["section"].pop("deeper")  # type: ignore[attr-defined]
    assert tomllib.loads(as_toml(values)) == values


def test_epochs_settings_and_folds_are_as_asked(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(data, monkeypatch, 0.2, epochs=12)
    assert (one.settings.fidelity.validation_steps, one.settings.fidelity.steps) == (12, 3)
    monkeypatch.setattr(for_data, "seconds_per_epoch", lambda settings: 0.2)
    other = chosen(Wanted(data, (32,)), 2, ["seed=7", "fidelity.steps=3", "training.batch_size=64"]).settings
    assert (other.seed, other.fidelity.steps, other.label[:8]) == (7, 3, "mine-too")
    assert other.training is not None and other.training.batch_size == 64 and other.training.folds is None
    few = chosen(Wanted("digits", (64,)), 2).settings
    assert few.training is not None and few.training.folds == few.fidelity.test_targets == 5


def test_examples_that_a_setting_asks_for_are_those_that_are_timed(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(for_data, "seconds_per_epoch", lambda settings: 0.2)
    option, setting = (
        chosen(Wanted(data, (32,), examples=300), 2),
        chosen(Wanted(data, (32,)), 2, ["training.examples=300"]),
    )
    assert setting.settings == option.settings
    assert (setting.seconds_per_epoch, setting.expected_minutes) == (0.2, option.expected_minutes)


def test_the_choice_is_told_in_few_lines(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(data, monkeypatch, 0.2)
    text, loop = told(one), one.settings.loop
    (bred,) = (int(line.split()[1].strip(",")) for line in text.splitlines() if line.startswith("candidates"))
    assert bred > loop.generations * loop.offspring, "those that inherit their rates are counted, too"
    assert "32 x 32 and 32 x 32, 205 trainable edges together: 10.0% of 2048" in text.replace("\n", " ")
    assert "0.20 s an epoch" in text and "minutes on 2 cores" in text
    each = round(one.expected_minutes)
    assert re.search(rf"4\d minutes on 2 cores, {each} for each of 3 seeds", " ".join(told(one, seeds=3).split()))
    assert len(text.splitlines()) <= 12 and max(map(len, text.splitlines())) <= 80


def test_dense_layers_are_left_out_where_they_would_take_much_of_the_time(
    data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "dense layers, which" not in told(found(data, monkeypatch, 0.2))
    monkeypatch.setattr(for_data, "seconds_per_epoch", lambda settings: 0.2)
    wide = Wanted(data, (1500, 1500), density=0.005)
    one, asked = chosen(wide, 2), chosen(wide, 2, ["training.dense=true"])
    assert "no row of dense layers, which would take long" in " ".join(told(one).split())
    assert dense_phases(asked.settings) and not dense_phases(one.settings)
    for rates in ("[0.01]", "[0.01, 0.03]"):
        off = chosen(wide, 2, ["training.dense=false", f"fidelity.validation_rates={rates}"])
        assert "dense layers, which" not in " ".join(told(off).split()), "who turned it off knows why there is none"
    lengths = [(each.settings.fidelity.validation_steps, each.settings.loop.generations) for each in (one, asked)]
    assert lengths[0] > lengths[1]


def test_what_y_is_may_be_said_where_the_data_do_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = blobs(inputs=32)
    path = str(tmp_path / "mine.npz")
    np.savez(path, x_train=x, y_train=y.astype(float))
    with pytest.raises(ValueError, match=r"if they are classes, say --task classification, or in a recipe task = "):
        found(path, monkeypatch, 0.01)
    for task, outputs in (("classification", 3), ("regression", 1)):
        settings = found(path, monkeypatch, 0.01, task=task).settings
        assert settings.found is not None and settings.found.outputs == outputs
        again = chosen(Wanted(path, (32, 32)), 2, [f"training.task={task}"]).settings
        assert again == settings == validate(tomllib.loads(as_toml(found(path, monkeypatch, 0.01, task=task).values)))
        assert plain_recipe(Wanted(path, (32,), task=task))[0]["training"]["task"] == task


def told(one: MadeRecipe, seeds: int = 1) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    show_choice(one, 2, console, seeds)
    return console.export_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"density": 0.0}, "--density 0: the share of the weights"),
        ({"density": 1.5}, "--density 1.5: the share"),
        ({"density": 0.01}, "--density 0.01 makes budget = 20: between"),
        ({"epochs": 1}, "--epochs 1: at least 2"),
        ({"examples": 0}, "--examples 0: at least 100"),
        ({"examples": -5}, "--examples -5: at least 100"),
        ({"minutes": 0.5}, "--minutes 0.5: at least 0.8 are needed"),
        ({"minutes": float("nan")}, "--minutes nan: at least 0.8 are needed"),
        ({"data": "none.npz"}, 'data = "none.npz": is not there'),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_one_line(data: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        chosen(Wanted(**{"data": data, "hidden": (32, 32), **options}), 2)
    assert "\n" not in str(caught.value)


def test_a_budget_that_is_set_is_not_said_to_be_made_by_the_density(data: str) -> None:
    with pytest.raises(ValueError, match=r"^budget = 9000: between"):
        chosen(Wanted(data, (32, 32)), 2, ["budget=9000"])


def test_a_density_is_of_all_places_together() -> None:
    assert budget_of(0.05, [(784, 256), (256, 100)]) == round(0.05 * (784 * 256 + 256 * 100))


def test_a_step_is_timed_whatever_the_number_of_examples_is(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def takes(each: float, fixed: float) -> Callable[..., None]:
        def work(model: nn.Module, part: Part, *_: object) -> None:
            nonlocal now
            now += each * len(part) + fixed

        return work

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: now))
    monkeypatch.setattr(timing, "train", takes(2e-5, 1e-4))  # the optimiser has to be made
    monkeypatch.setattr(timing, "error", takes(1e-6, 0.0))
    for count in (400, 4000):
        found = pace(TrainedAccuracy(easy(examples=count), [8]), butterfly(8, 3), 0.1)
        assert found.training == pytest.approx(2e-5, rel=0.1) and found.scoring == pytest.approx(1e-6)
    settings = validate({"budget": 102, "training": {"data": data, "hidden": [32, 32]}})
    evaluator = evaluator_of(settings)
    assert isinstance(evaluator, TrainedAccuracy)
    trained, scored = len(evaluator.data.train), len(evaluator.data.search)
    seconds = seconds_per_step(settings)[Split.SEARCH]
    assert seconds == pytest.approx(2e-5 * trained, rel=0.2, abs=1e-6 * scored)
