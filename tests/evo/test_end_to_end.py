"""From a recipe to a mask that a model uses, with the real evaluator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from evaluators import MatrixReconstruction
from evaluators.task import Fidelity, Stream
from evo.compare import verify
from evo.search import EVOLVED, Result, search
from evo.settings import Settings
from tests.fakes import recipe
from topologies import SparseCascade, load

pytestmark = pytest.mark.end_to_end

FIDELITY = {
    "targets": 2, "steps": 60, "rates": (0.45, 1.5),
    "full_targets": 4, "full_steps": 200, "full_rates": (0.3, 0.6, 1.2), "held_out_targets": 6, "finalists": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def settings() -> Settings:
    """8 x 8 with 40 parameters of 64."""
    return recipe(fidelity=FIDELITY, loop={"broods": 5, "brood_size": 8, "population": 10})


@pytest.fixture(scope="module")
def result(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """What was found."""
    return search(settings, folder=tmp_path_factory.mktemp("run"))


def test_the_same_recipe_gives_the_same_result(settings: Settings, result: Result, tmp_path: Path) -> None:
    again = search(settings, folder=tmp_path)
    assert again.digest == result.digest
    assert again.champion == result.champion
    assert again.rows == result.rows


def test_errors_are_what_they_should_be(result: Result) -> None:
    for row in result.rows:
        assert len(row.errors) == 6
        assert all(0 < error <= 1 for error in row.errors)
    errors = {row.kind: row.error.mean for row in result.rows}
    assert min(errors.values()) < 0.4  # of 64 entries, 40 parameters
    assert errors[EVOLVED] < 1.3 * min(errors.values())


def test_the_file_alone_gives_the_held_out_score_again(result: Result) -> None:
    found = verify(result.champion_file)
    assert found.agrees
    assert found.found.mean == found.stated == result.rows[0].error.mean


def test_a_file_that_boasts_is_found_out(result: Result, tmp_path: Path) -> None:
    from topologies.files import read, save

    topology, provenance = read(result.champion_file)
    held_out = provenance.scores["held-out"]
    assert isinstance(held_out, dict)
    held_out |= {"error": 0.001, "interval": [0.0005, 0.0015]}
    assert not verify(save(topology, tmp_path / "boast.safetensors", provenance)).agrees


def test_the_champion_stands_in_for_a_linear_layer(result: Result) -> None:
    topology = load(result.champion_file)
    assert topology == result.champion
    layer = SparseCascade(result.champion_file)
    assert layer(torch.randn(5, 8)).shape == (5, 8)
    trained = sum(parameter.numel() for name, parameter in layer.named_parameters() if "bias" not in name)
    assert trained == topology.n_trainable == 40


def test_the_weights_that_were_trained_have_the_error_that_was_scored(result: Result) -> None:
    from evaluators.targets import target

    fidelity = Fidelity(2, 60, (0.45,))
    trained = MatrixReconstruction().train(result.champion, fidelity, Stream.SEARCH, 3)
    for index in range(2):
        product, weights = np.eye(8), trained.weights[0, index]
        for layer in result.champion.layers:
            values = np.ones(layer.n_edges)
            values[layer.trainable], weights = weights[: layer.n_trainable], weights[layer.n_trainable :]
            matrix = np.zeros((layer.n_in, layer.n_out))
            matrix[layer.sources, layer.targets] = values
            product = product @ matrix
        goal = target(8, 8, index, Stream.SEARCH, 3)
        error = np.square(goal - product).sum() / np.square(goal).sum()
        assert error == pytest.approx(trained.errors[0, index], rel=1e-3)
