"""From a recipe to a mask that a model uses, with the real evaluator."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from evo.experiment.compare import verify
from evo.experiment.search import Result, search
from evo.settings import Settings
from evo.storage.names import EVOLVED
from tests.fakes import recipe
from topologies import SparseCascade, load

pytestmark = pytest.mark.end_to_end

FIDELITY = {
    "targets": 2, "steps": 60, "rates": (0.45, 1.5),
    "validation_targets": 4, "validation_steps": 200, "validation_rates": (0.3, 0.6, 1.2), "test_targets": 6,
    "finalists": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def settings() -> Settings:
    """8 x 8 with 40 parameters of 64."""
    return recipe(fidelity=FIDELITY, loop={"generations": 5, "offspring": 8, "population": 10})


@pytest.fixture(scope="module")
def result(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """What was found."""
    return search(settings, folder=tmp_path_factory.mktemp("run"))


def test_the_same_recipe_gives_the_same_result(settings: Settings, result: Result, tmp_path: Path) -> None:
    again = search(settings, folder=tmp_path)
    assert again.digest == result.digest
    assert again.champion == result.champion
    assert again.table == result.table


def test_what_can_be_reconstructed_is_and_what_is_not_connected_is_not(result: Result) -> None:
    rows = result.table.rows
    errors = {row.name: row.error.mean for row in rows}
    assert all(0 < error <= 1 for row in rows for error in row.errors)
    assert errors[EVOLVED] < 0.4  # 40 parameters for 64 entries
    unconnected = [row.name for row in rows if not row.topology.is_connected]
    assert unconnected
    assert all(errors[EVOLVED] < errors[name] for name in unconnected)


def test_the_file_alone_gives_the_test_score_again(result: Result) -> None:
    found = verify(result.folder)
    assert found.agrees
    assert found.found.mean == found.stated == result.table.first.error.mean


def test_a_file_that_boasts_is_found_out(result: Result, tmp_path: Path) -> None:
    from topologies.files import read, save

    topology, provenance = read(result.champion_file)
    stated = provenance.scores["test"]
    assert isinstance(stated, dict)
    stated |= {"error": 0.001, "interval": [0.0005, 0.0015]}
    assert not verify(save(topology, tmp_path / "boast.safetensors", provenance)).agrees


def test_the_champion_stands_in_for_a_linear_layer(result: Result) -> None:
    topology = load(result.champion_file)
    assert topology == result.champion
    layer = SparseCascade(result.champion_file)
    assert layer(torch.randn(5, 8)).shape == (5, 8)
    trained = sum(parameter.numel() for name, parameter in layer.named_parameters() if "bias" not in name)
    assert trained == topology.n_trainable == 40
