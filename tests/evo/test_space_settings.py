"""Recipes that say where inputs are, from what they may say to the rows of the final table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluators.training import memory
from evaluators.training.data import Data
from evo.experiment.plan import plan
from evo.experiment.search import Result, search
from evo.experiment.space_baselines import space_of
from evo.recipe import validate
from evo.settings import Settings
from evo.storage.header import recipe_of, records_of
from evo.storage.names import DENSE, OF_SPACE, tuning
from evo.storage.records import ScoreRecord
from evo.variation.space import Space
from tests.evo.own_data import EPOCHS, SMALL, STEPS, data_file

OF_DATA = {"input_shape": None, "affinity": "data", "connected": False}


def on_data(folder: Path, **changes: Any) -> Settings:
    training = {"data": data_file(folder), "hidden": [8, 8]}
    return validate({**SMALL, "budget": 48, "training": training, "fidelity": EPOCHS, **changes})


def on_a_grid(**changes: Any) -> Settings:
    wanted = {"n_in": 16, "n_out": 16, "budget": 96, "space": {"input_shape": [4, 4]}, "fidelity": STEPS}
    return validate({**SMALL, **wanted, **changes})


def test_data_are_a_space_where_a_recipe_does_not_say_otherwise(tmp_path: Path) -> None:
    settings = on_data(tmp_path)
    assert settings.model_dump(mode="json")["space"] == OF_DATA
    assert not settings.connected
    space = space_of(settings)
    assert space is not None
    assert len(space) == 8


def test_only_the_examples_that_are_trained_on_say_what_is_near(tmp_path: Path) -> None:
    file = data_file(tmp_path)
    space = space_of(on_data(tmp_path, training={"data": file, "hidden": [8, 8], "examples": 160}))
    data = Data.read(file, None, 160)
    assert space is not None and len(data.train) < len(Data.read(file).train)
    np.testing.assert_array_equal(space.profiles, Space.of_data(data.train.x).profiles)


def test_without_data_or_a_section_nothing_changes() -> None:
    settings = validate({})
    assert (settings.space, settings.connected, space_of(settings)) == (None, True, None)


@pytest.mark.parametrize(
    ("section", "connected", "places"),
    [
        ({"affinity": "none"}, False, False),
        ({"connected": True}, True, True),
        ({"input_shape": [2, 4]}, False, True),
        ({"affinity": "none", "connected": True}, True, False),
    ],
)
def test_what_a_section_says_is_taken(tmp_path: Path, section: dict[str, Any], connected: bool, places: bool) -> None:
    settings = on_data(tmp_path, space=section)
    assert settings.connected is connected
    assert (space_of(settings) is not None) is places


def test_inputs_too_many_for_all_pairs_are_one_line_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).integers(256, size=(130, 49_152), dtype=np.uint8)
    np.savez(tmp_path / "wide.npz", x_train=x, y_train=np.arange(130) % 2)
    recipe = {**SMALL, "budget": 49_152, "training": {"data": str(tmp_path / "wide.npz"), "hidden": [8]}}
    monkeypatch.setattr(memory, "memory", lambda: 20 << 30)
    told = (
        r'^49152 inputs: which are near each other takes 65 GiB, and this machine has 20: write affinity = "none" under'
    )
    for changes in ({}, {"space": {"input_shape": [128, 128, 3]}}):
        with pytest.raises(ValueError, match=told):
            validate(recipe | changes)
    assert space_of(validate(recipe | {"space": {"affinity": "none"}})) is None
    monkeypatch.setattr(memory, "memory", lambda: 70 << 30)
    begun = validate(recipe).model_dump(mode="json")
    monkeypatch.setattr(memory, "memory", lambda: 20 << 30)
    with pytest.raises(ValueError, match=told):  # where it is resumed, though it may be reported on
        space_of(validate(begun))


def test_layers_need_to_be_connected_where_nothing_is_trained() -> None:
    assert on_a_grid().connected
    assert not on_a_grid(space={"input_shape": [4, 4], "connected": False}).connected


def test_fewer_edges_are_enough_where_layers_need_not_be_connected() -> None:
    assert on_a_grid(budget=16, space={"input_shape": [4, 4], "connected": False}).budget == 16
    with pytest.raises(ValueError, match=r"budget = 15: between the greater of n_in and n_out = 16 and"):
        on_a_grid(budget=15, space={"input_shape": [4, 4], "connected": False})
    with pytest.raises(ValueError, match=r"budget = 16: between n_in \+ n_out = 32 and"):
        on_a_grid(budget=16)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another number of inputs": ({"input_shape": [4, 5]}, r"space.input_shape: 4 \* 5 = 20, but there are 16 inputs"),
    "both": ({"input_shape": [4, 4], "affinity": "data"}, "input_shape and affinity exclude each other"),
    "no data": ({"affinity": "data"}, r'space.affinity = "data" needs a section \[training\]'),
    "four sides": ({"input_shape": [2, 2, 2, 2]}, r"\[height, width\] or \[height, width, channels\] is wanted"),
    "a side of nothing": ({"input_shape": [0, 16]}, r"space.input_shape.0 = 0: "),
    "no shape": ({"input_shape": 16}, r"space.input_shape = 16: "),
    "another word": ({"affinity": "grid"}, r"space.affinity = 'grid': "),
    "a misspelt key": ({"shape": [4, 4]}, r"unknown key 'space.shape'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_bad_section_is_one_line(what: str) -> None:
    section, line = WRONG[what]
    with pytest.raises(ValueError, match=line) as told:
        on_a_grid(space=section)
    assert "\n" not in str(told.value)


def test_a_model_with_other_inputs_than_the_data_has_no_places_by_data(tmp_path: Path) -> None:
    model = {"data": data_file(tmp_path), "model": "tests.evaluators.training.examples:two_layers"}
    sizes = {"n_in": 12, "n_out": 12, "budget": 36}
    assert space_of(validate({**SMALL, **sizes, "training": model})) is None
    with pytest.raises(ValueError, match="the data have 8 inputs and the topologies 12"):
        space_of(validate({**SMALL, **sizes, "training": model, "space": {"affinity": "data"}}))


# --- searches ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("space")


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    return search(on_data(folder), folder=folder / "run")


@pytest.mark.end_to_end
def test_patches_and_reordered_families_are_rows_and_founders(result: Result) -> None:
    names = {row.name for row in result.table.rows}
    assert {"patches", "re-ordered local butterfly", "re-ordered butterfly", "re-ordered parallel butterfly"} <= names
    scores = [one for one in records_of(result.folder) if isinstance(one, ScoreRecord)]
    founders = {one.origin.family for one in scores if one.phase == "evolution" and one.origin.generation == 0}
    assert {"patches", "local_butterfly"} <= founders
    assert all(row.topology.n_trainable <= 48 for row in result.table.rows if row.name != DENSE)


@pytest.mark.end_to_end
def test_the_plan_counts_what_is_tried_in_the_space(result: Result, folder: Path) -> None:
    scores = [one for one in records_of(result.folder) if isinstance(one, ScoreRecord)]
    made = sum(one.phase in {tuning(name) for name in OF_SPACE} for one in scores)
    phases = {one.name: one.evaluations for one in plan(on_data(folder))}
    without = {one.name: one.evaluations for one in plan(on_data(folder, space={"affinity": "none"}))}
    assert 0 < made <= phases["tune the hand-derived families"] - without["tune the hand-derived families"]
    assert phases["test"] == without["test"] + len(OF_SPACE)


@pytest.mark.end_to_end
def test_a_search_in_a_space_repeats_and_goes_on(result: Result, folder: Path) -> None:
    assert search(validate(recipe_of(result.folder)), folder=result.folder).digest == result.digest
    shorter = {**SMALL["loop"], "generations": 1}
    begun = search(on_data(folder, loop=shorter), folder=folder / "longer")
    assert begun.digest != result.digest
    assert search(on_data(folder), folder=folder / "longer").digest == result.digest


@pytest.mark.end_to_end
def test_a_run_does_not_go_on_in_another_space(result: Result, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"a run of another recipe \(space differ\)"):
        search(on_data(folder, space={"affinity": "none"}), folder=result.folder)


@pytest.mark.end_to_end
def test_a_grid_alone_is_a_space_for_any_evaluator(tmp_path: Path) -> None:
    found = search(on_a_grid(), folder=tmp_path / "run")
    assert found.champion.is_connected
    assert "patches" in {row.name for row in found.table.rows}
