"""Searches over all places of a model, from the recipe to the converted model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import topologies.models as tm
from evaluators import Fidelity, Score, Split
from evaluators.training import Data, TrainedAccuracy
from evo.cli import app
from evo.experiment.baselines import candidates_of, growth_rule_of
from evo.experiment.compare import verify
from evo.experiment.search import Result, search
from evo.experiment.stack_members import by_dense_size, widths_tried
from evo.recipe import validate
from evo.report.artifacts import write_artifacts
from evo.report.description import description
from evo.report.text import FILES, files_of
from evo.settings import Settings
from evo.storage.champion import UNSEARCHED_ROW
from evo.storage.checkpoint import cut
from evo.storage.header import named_topologies, recipe_of, records_of
from evo.storage.history import History
from evo.storage.records import ScoreRecord
from evo.tracking.pyfunc import TrackedModel
from evo.tracking.records import run_records
from tests.evaluators.training.examples import easy
from topologies import Stack, butterfly, clos, dense, load
from topologies.stack import AnyTopology, Layout

RECIPE: dict[str, Any] = {
    "seed": 3,
    "budget": 700,
    "loop": {"generations": 2, "offspring": 4, "population": 6},
    "tuning": {"trials": 1},
    "cluster": {"pool": "in-process"},
    "fidelity": {
        "steps": 2, "rates": [0.03], "race_targets": 2, "finalists": 2, "validation_targets": 1,
        "validation_steps": 2, "validation_rates": [0.03], "validation_weight_decays": [0.0], "test_targets": 2,
    },
}  # fmt: skip


def recipe(**training: Any) -> Settings:
    """A search on digits with two hidden layers of two sizes, as short as can be."""
    return validate({**RECIPE, "training": {"data": "digits", "hidden": [48, 32], "batch_size": 216, **training}})


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A finished search whose widths are fixed."""
    return search(recipe(), folder=tmp_path_factory.mktemp("fixed") / "run")


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A finished search whose widths are free."""
    return search(recipe(free_widths=True), folder=tmp_path_factory.mktemp("free") / "run")


@pytest.mark.end_to_end
def test_every_candidate_has_a_topology_for_every_place_within_one_budget(result: Result) -> None:
    scores = [one for one in records_of(result.folder) if isinstance(one, ScoreRecord)]
    bred = [one.topology for one in scores if one.phase in ("evolution", "random search")]
    assert bred and all(isinstance(one, Stack) and one.sizes == ((64, 48), (48, 32)) for one in bred)
    assert {one.n_trainable for one in bred} == {700}
    assert len({one.places[0].n_trainable for one in bred}) > 3
    assert all(row.topology.n_trainable <= 700 for row in result.table.rows)


@pytest.mark.end_to_end
@pytest.mark.parametrize("widths", ["fixed", "free"])
def test_a_search_that_was_cut_off_ends_alike_and_its_file_states_what_verify_finds(
    widths: str, result: Result, free: Result, tmp_path: Path
) -> None:
    whole = free if widths == "free" else result
    run = shutil.copytree(whole.folder, tmp_path / "run")
    cut(run, len(records_of(run)) // 2)
    again = search(validate(recipe_of(run)), folder=run)
    assert again.digest == whole.digest and again.table == whole.table
    found = verify(run)
    assert found.found.mean == found.stated == whole.table.first.error.mean
    assert load(again.champion_file) == whole.champion


@pytest.mark.end_to_end
def test_free_widths_are_searched_and_what_they_cost_is_told(free: Result) -> None:
    scores = [one for one in records_of(free.folder) if isinstance(one, ScoreRecord)]
    bred = [one.topology for one in scores if one.phase == "evolution"]
    layout = Layout(((64, 48), (48, 32)), ((24, 192), (16, 128)))
    assert {one.n_trainable for one in bred} == {700}
    assert len({one.sizes for one in bred if isinstance(one, Stack)}) > 3
    assert all(isinstance(one, Stack) and layout.admits(one.sizes) for one in bred)
    first = free.table.first
    assert isinstance(first.topology, Stack)
    (_, one), (_, two) = first.topology.sizes
    assert first.label.endswith(f"widths {one}-{two}, biases {one + two}, head {(two + 1) * 10}")


@pytest.mark.end_to_end
def test_the_width_of_a_single_layer_is_free_too(tmp_path: Path) -> None:
    found = search(recipe(hidden=[24], free_widths=True).model_copy(update={"budget": 300}), folder=tmp_path / "run")
    scores = [one for one in records_of(found.folder) if isinstance(one, ScoreRecord)]
    bred = [one.topology for one in scores if one.phase == "evolution"]
    assert all(isinstance(one, Stack) and len(one.places) == 1 for one in bred)
    assert len({one.n_out for one in bred}) > 2
    model = tm.convert(nn.Sequential(nn.Linear(64, found.champion.n_out), nn.ReLU()), found.champion_file)
    assert model[0].topology == found.champion.places[0]


@pytest.mark.end_to_end
def test_the_champion_goes_into_a_model_of_these_sizes(result: Result) -> None:
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10))
    tm.convert(model, result.champion_file)
    assert isinstance(result.champion, Stack)
    assert tuple(model[place].topology for place in (0, 2)) == result.champion.places
    tracked = TrackedModel(str(result.champion_file))
    assert tracked.predict(np.ones((3, 64))).shape == (3, 32)
    assert [type(one).__name__ for one in tracked.get_raw_model()] == ["SparseCascade", "ReLU"] * 2


@pytest.mark.end_to_end
def test_reports_pictures_and_records_cope_with_places(result: Result, tmp_path: Path) -> None:
    history = History.of(result.folder)
    assert history.size == "64-48-32"
    text = description(history)
    assert "64 × 48, 48 × 32 with 700 trainable edges" in text and "tm.convert(model, " in text
    write_artifacts(history, tmp_path)
    written = {path.name for path in tmp_path.iterdir()}
    assert written == files_of(history).keys() == FILES.keys() - {"entry_errors.png", UNSEARCHED_ROW}
    params = [record.params for record in run_records(history)]
    assert any("member.1.n" in one and "member.2.n" in one for one in params)


@pytest.mark.end_to_end
def test_commands_cope_with_places(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run, runner = str(result.folder), CliRunner()
    shown = runner.invoke(app, ["show", run, "--out", "pictures"])
    assert shown.exit_code == 0 and "place 1" in shown.output and "place 2" in shown.output
    assert runner.invoke(app, ["export", run, "masks.npz"]).exit_code == 0
    assert runner.invoke(app, ["export", "masks.npz", "again.safetensors"]).exit_code == 0
    assert load("again.safetensors") == result.champion
    asked = [
        "training.data=digits",
        "training.hidden=[48,32]",
        "training.batch_size=216",
        "cluster.pool=in-process",
        "tuning.trials=1",
    ]
    asked += [f"fidelity.{name}=2" for name in ("steps", "validation_steps", "test_targets")]
    asked += ["fidelity.validation_targets=1", "fidelity.rates=[0.03]", "fidelity.validation_rates=[0.03]"]
    asked += ["fidelity.validation_weight_decays=[0]"]
    scored = runner.invoke(app, ["score", run, *(one for each in asked for one in ("--set", each))])
    assert scored.exit_code == 0 and "700" in scored.output
    told = runner.invoke(app, ["score", "again.safetensors"]).exception
    assert isinstance(told, ValueError) and "holds 2 places (64-48-32): say what their model is" in str(told)


def test_a_model_of_ones_own_has_places_of_any_sizes(tmp_path: Path) -> None:
    made = {"data": "digits", "model": "tests.evo.test_places:beside", "sizes": [[64, 8], [64, 8]]}
    settings = validate({**RECIPE, "training": made, "budget": 300})
    assert settings.sizes == ((64, 8), (64, 8)) and settings.label == "search-64x8+64x8-b300-s3"
    stack = Stack((dense(64, 8), dense(64, 8)))
    data = Data.read("digits")
    task = TrainedAccuracy(data, model=beside, sizes=settings.sizes)
    assert task.evaluate(stack, Fidelity(1, 4, (0.01,)), Split.SEARCH, 0).error < 0.4


class Beside(nn.Module):
    """Two cascades that see the same inputs."""

    def __init__(self, cascades: list[Any], outputs: int) -> None:
        super().__init__()
        self.cascades = nn.ModuleList(cascades)
        self.head = nn.Linear(sum(one.out_features for one in cascades), outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both, beside each other."""
        return self.head(torch.cat([torch.relu(one(x)) for one in self.cascades], dim=1))  # type: ignore[no-any-return]


def beside(cascades: list[Any], outputs: int) -> nn.Module:
    """A model whose places are not in a chain."""
    return Beside(cascades, outputs)


def test_one_topology_and_a_stack_of_it_are_scored_alike() -> None:
    task, brief = TrainedAccuracy(easy(), [8, 8]), Fidelity(2, 2, (0.01,))
    one = butterfly(8, 3)
    assert task.evaluate(one, brief, Split.SEARCH, 0) == task.evaluate(Stack((one, one)), brief, Split.SEARCH, 0)
    assert task.evaluate(one, brief, Split.SEARCH, 0) != task.evaluate(
        Stack((one, clos(8, 4, 3, 2))), brief, Split.SEARCH, 0
    )


def test_a_stack_of_other_sizes_is_refused_unless_widths_are_free() -> None:
    brief, wider = Fidelity(1, 2, (0.01,)), Stack((dense(8, 12), dense(12, 8)))
    with pytest.raises(ValueError, match="the topology is 8 x 12, 12 x 8, where the model takes 8 x 8, 8 x 8"):
        TrainedAccuracy(easy(), [8, 8]).evaluate(wider, brief, Split.SEARCH, 0)
    freely = TrainedAccuracy(easy(), [8, 8], free_widths=True)
    exactly = TrainedAccuracy(easy(), [12, 8])
    assert freely.evaluate(wider, brief, Split.SEARCH, 0) == exactly.evaluate(wider, brief, Split.SEARCH, 0)
    for wrong in (Stack((dense(8, 8),)), Stack((dense(8, 8), dense(9, 8))), Stack((dense(9, 8), dense(8, 8)))):
        with pytest.raises(ValueError, match="where the model takes"):
            freely.evaluate(wrong, brief, Split.SEARCH, 0)


def test_families_have_members_for_all_places_within_the_budget() -> None:
    settings = recipe()
    for family in ("parallel_butterfly", "clos", "random_regular"):
        members = candidates_of(family, settings)
        assert members and all(one.n_trainable <= 700 for one in members)
        built = [member.topology() for member in members[:3]]
        assert all(isinstance(one, Stack) and one.sizes == settings.sizes for one in built)
        assert [one.n_trainable for one in built] == [one.n_trainable for one in members[:3]]
    alike = validate({**RECIPE, "budget": 1280, "training": {"data": "digits", "hidden": [64, 64]}})
    found = candidates_of("parallel_butterfly", alike)
    alone = candidates_of("parallel_butterfly", validate({"n_in": 64, "n_out": 64, "budget": 640}))
    assert [one.expression for one in found] == [one.expression for one in alone]
    rule = growth_rule_of(alike)
    assert rule is not None and isinstance(rule.topology, Stack) and len(set(rule.topology.places)) == 1
    freely = candidates_of("random_regular", recipe(free_widths=True).model_copy(update={"budget": 1500}))
    tried = {one.topology().sizes for one in freely[:: max(1, len(freely) // 40)]}
    assert len(tried) > 2


def test_the_budget_is_divided_by_dense_weights_and_widths_are_tried_at_multiples() -> None:
    assert by_dense_size(((784, 256), (256, 256)), 13312) == [10036, 3276]
    layout = Layout(((8, 6), (6, 4)), ((3, 24), (2, 9)))
    assert widths_tried(layout) == [((8, 6), (6, 4)), ((8, 12), (12, 8)), ((8, 24), (24, 9)), ((8, 3), (3, 2))]


def test_topologies_that_a_recipe_names_fit_every_place(tmp_path: Path) -> None:
    stack = Stack((butterfly(64, 6, n_out=48), butterfly(48, 6, n_out=32)))
    path = str(stack.save(tmp_path / "mine.safetensors"))
    named = {"initial_population": ("butterfly(depth=6)", path)}
    found = named_topologies(recipe().model_copy(update=named))
    assert list(found.values()) == [stack, stack]
    wider = str(Stack((butterfly(64, 6), butterfly(64, 6, n_out=32))).save(tmp_path / "wider.safetensors"))
    with pytest.raises(ValueError, match="is 64-64-32, the recipe 64-48-32"):
        named_topologies(recipe().model_copy(update={"initial_population": (wider,)}))
    assert named_topologies(recipe(free_widths=True).model_copy(update={"initial_population": (wider,)}))


class Edges:
    """Scores stacks by a rule that takes no training."""

    def evaluate(self, topology: AnyTopology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """Better, the more of the edges are at the first place."""
        assert isinstance(topology, Stack)
        return Score((1 - topology.places[0].n_trainable / topology.n_trainable,) * fidelity.targets)


def test_an_evaluator_from_python_is_given_stacks_and_budget_moves_where_it_helps(tmp_path: Path) -> None:
    settings = validate(
        {
            "places": {"sizes": [[16, 16], [16, 16]]},
            "budget": 160,
            "evaluator": "tests.evo.test_places:Edges",
            "loop": {"generations": 12, "offspring": 8, "population": 8},
            "tuning": {"trials": 2},
            "cluster": {"pool": "in-process"},
            "fidelity": {"targets": 1, "race_targets": 1, "validation_targets": 1, "test_targets": 2, "finalists": 2},
        }
    )
    assert (settings.n_in, settings.n_out) == (16, 16)
    found = search(settings, folder=tmp_path / "run")
    assert isinstance(found.champion, Stack) and found.champion.n_trainable == 160
    assert found.champion.places[0].n_trainable > 95
