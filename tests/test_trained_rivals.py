"""Networks trained together come out as those that are trained one by one; rivals are what their names say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluators.rng import generator
from evaluators.training.data import Data
from evaluators.training.models import Perceptron
from evaluators.training.training import alone, error, train
from tests.benchmarks.trained import pruning
from tests.benchmarks.trained.batched import Batch
from tests.benchmarks.trained.champions import champion
from tests.benchmarks.trained.experiments import of_classes
from tests.benchmarks.trained.jobs import Job, OnDevice
from tests.benchmarks.trained.pruning import grasp, kept, snip, synflow
from tests.benchmarks.trained.rigl import masks_of
from tests.benchmarks.trained.rows import Setting, patch_rows, rigl_row, structured
from tests.benchmarks.trained.statistics import estimate, holm
from tests.benchmarks.trained.tables import table
from tests.benchmarks.trained.together import train_all
from tests.benchmarks.trained.tuning import beyond
from tests.benchmarks.trained.wiring import near_on_grid, pairing, patches
from topologies import (
    SparseCascade,
    Topology,
    butterfly,
    clos,
    dense,
    low_rank,
    parallel_butterfly,
    random_regular,
)
from topologies.stack import Stack


@pytest.fixture(scope="module")
def data() -> Data:
    draws = np.random.default_rng(0)
    middles = draws.normal(size=(4, 16))
    y = draws.integers(4, size=900)
    return Data.of(middles[y] + draws.normal(size=(900, 16)), y)


PAIRS = {
    "one layer": (random_regular(16, 16, 16, 1, 4, skip=False), random_regular(16, 16, 16, 1, 3, 1, skip=False)),
    "dense": (dense(16, 16, skip=False), dense(16, 16, skip=False)),
    "wide": (random_regular(16, 24, 24, 1, 4, skip=False), random_regular(24, 16, 16, 1, 3, 1, skip=False)),
    "butterfly": (butterfly(16, 7), butterfly(16, 7)),
    "parallel butterfly": (parallel_butterfly(16, 2, 5), parallel_butterfly(16, 2, 5)),
    "constants": (clos(16, 4, 3, 4), low_rank(16, 16, 3)),
    "deep and uneven": (random_regular(16, 16, 12, 6, 3), random_regular(16, 16, 12, 6, 3, 7)),
}


def one_by_one(job: Job, data: Data) -> tuple[list[np.ndarray], float, float]:
    """Weights of all places and the errors of a network that is trained by itself, as the evaluator does."""
    draws = generator(job.seed, "training together")
    with alone(int(draws.integers(2**63 - 1))):
        model = Perceptron([SparseCascade(place, way="plain") for place in job.places], data.outputs)
        train(model, data.train, job.epochs, job.rate, job.weight_decay, OnDevice(data, "cpu").batch, draws)
        weights = [layer.edge_weight.detach().numpy() for layer in model.hidden]
        return weights, error(model, data.validation), error(model, data.test)


@pytest.mark.parametrize("name", PAIRS)
def test_a_batch_learns_what_its_networks_learn_alone(name: str, data: Data) -> None:
    jobs = [Job(PAIRS[name], rate, decay, seed, 3) for rate, decay, seed in ((0.01, 0.3, 0), (0.03, 0.0, 1))]
    for trained in train_all(jobs, OnDevice(data, "cpu"), keep=True, test=True):
        weights, validation, test = one_by_one(trained.job, data)
        for found, wanted in zip(trained.weights, weights, strict=True):
            np.testing.assert_allclose(found, wanted, atol=2e-4)
        assert trained.validation_error == pytest.approx(validation, abs=0.006)  # one example of the part
        assert trained.test_error == pytest.approx(test, abs=0.006)


def test_networks_of_different_edges_share_a_batch(data: Data) -> None:
    few, more = (random_regular(16, 16, 16, 1, fan, skip=False) for fan in (3, 4))
    jobs = [Job((few, more), 0.01, 0.1, 0, 2), Job((more, few), 0.01, 0.1, 0, 2)]
    assert jobs[0].kind == jobs[1].kind
    together = train_all(jobs, OnDevice(data, "cpu"), keep=True)
    for trained in together:
        weights, _, _ = one_by_one(trained.job, data)
        for found, wanted in zip(trained.weights, weights, strict=True):
            np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_regrown_edges_move_but_stay_as_many(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.benchmarks.trained.rigl.EVERY", 4)
    start = PAIRS["one layer"]
    (trained,) = train_all([Job(start, 0.01, 0.0, 0, 3, regrown=True)], OnDevice(data, "cpu"))
    found = masks_of(trained)
    assert [one.n_trainable for one in found] == [one.n_trainable for one in start]
    assert found[0] != start[0]
    assert found[1] != start[1]


def test_a_network_that_may_regrow_but_does_not_is_the_sparse_one(data: Data) -> None:
    start = PAIRS["one layer"]
    batch = Batch([Job(start, 0.01, 0.1, 0, 2, regrown=True)], OnDevice(data, "cpu"))
    batch.train()
    (sparse,) = train_all([Job(start, 0.01, 0.1, 0, 2)], OnDevice(data, "cpu"), keep=True)
    for topology, whole, edges in zip(start, batch.weights(0), sparse.weights, strict=True):
        mask = torch.from_numpy(topology.masks()[0].T.copy()).flatten().bool().numpy()
        np.testing.assert_allclose(whole[mask], edges, atol=1e-5)
        assert not whole[~mask].any()
    assert isinstance(start[0], Topology)


def test_patches_see_the_nearest_places_and_orders_keep_alike_inputs_together() -> None:
    near = near_on_grid(4, 4)
    (layer,) = patches(near, 3, before=2, after=2).layers
    assert (layer.n_in, layer.n_out, set(layer.fan_in.tolist())) == (32, 32, {6})
    corner = layer.sources[layer.targets == 0] // 2
    assert set(corner.tolist()) == {0, 1, 4}
    alike = np.kron(np.eye(4), np.ones((2, 2)))
    moved = np.random.default_rng(0).permutation(8)  # input i of the data is input moved[i] of the ordered ones
    order = moved[pairing(alike[np.ix_(moved, moved)])]
    assert all(one // 2 == other // 2 for one, other in order.reshape(4, 2).tolist())


def test_scores_keep_as_many_edges_as_asked(data: Data) -> None:
    on = OnDevice(data, "cpu")
    widths, budgets = (16, 16, 16), (40, 40)
    for everywhere in (False, True):
        for scores in (snip(on, widths), grasp(on, widths), synflow(on, widths, budgets, everywhere)):
            found = kept(widths, scores, budgets, everywhere)
            counts = [one.n_trainable for one in found]
            assert sum(counts) == 80
            assert everywhere or counts == [40, 40]


def test_grasp_keeps_what_a_finite_difference_of_the_gradient_says(data: Data) -> None:
    on, widths = OnDevice(data, "cpu"), (16, 16, 16)
    weights, head = pruning._dense(on, widths, 0)

    def norm(values: list[torch.Tensor]) -> float:
        moved = [one.detach().double().requires_grad_() for one in values]
        double = (head[0].double(), head[1].double())
        x, y = on.train
        for one in moved:
            x = torch.relu(x.double() @ one.T)
        loss = torch.nn.functional.cross_entropy((x @ double[0].T + double[1]) / pruning.TEMPERATURE, y)
        return float(sum(one.square().sum() for one in torch.autograd.grad(loss, moved))) / 2

    scores = grasp(on, widths)
    at = int(np.abs(scores[0]).argmax())
    step = torch.zeros(256)
    step[at] = 1e-4
    weight = float(weights[0].detach().flatten()[at])
    up, down = ([weights[0].detach().double() + way * step.view(16, 16), weights[1]] for way in (1, -1))
    assert scores[0][at] == pytest.approx(weight * (norm(up) - norm(down)) / 2e-4, rel=1e-2)


def test_intervals_cover_and_holm_is_that_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    draws, covered = np.random.default_rng(0), 0
    for _ in range(300):
        rate = 0.4 + draws.normal(0, 0.01, 5)[:, None] + draws.normal(0, 0.1, 400)
        found = estimate((draws.random((5, 400)) < rate).astype(float))
        covered += found.low <= 0.4 <= found.high
    assert covered / 300 >= 0.93


def test_a_grid_grows_where_its_end_wins_and_ends_where_none_does() -> None:
    grid = {("", rate, decay): abs(rate - 0.04) + decay for rate in (0.01, 0.02) for decay in (0.0, 0.1)}
    assert {point[1] for point in beyond(grid)} == {0.04}
    grid |= {("", rate, decay): abs(rate - 0.04) + decay for rate in (0.04, 0.08) for decay in (0.0, 0.1)}
    assert beyond(grid) == []
    strong = {("", rate, decay): abs(rate - 0.02) - decay for rate in (0.01, 0.02, 0.04) for decay in (0.0, 0.1)}
    assert [round(point[2], 6) for point in beyond(strong)] == [0.3, 0.3, 0.3]


def test_a_table_is_written_with_every_row_and_its_intervals(data: Data, tmp_path: Path) -> None:
    setting = Setting(OnDevice(data, "cpu"), (16, 16, 16), (64, 64))
    rows = [*patch_rows(setting)[:1], *structured(setting)[:1], rigl_row(setting)]
    table("small", rows, setting, 1, tmp_path)
    written = json.loads((tmp_path / "small.json").read_text(encoding="utf-8"))
    names = {row["row"] for row in written["rows"]}
    assert {"correlation patches", "parallel butterfly", "RigL, as it ends", "RigL, its mask retrained"} <= names
    for row in written["rows"]:
        assert row["test_error low"] <= row["test_error"] <= row["test_error high"]
        if row["row"] == "parallel butterfly":
            assert row["minus parallel butterfly"] == 0


def test_halves_of_the_classes_share_nothing(data: Data) -> None:
    one, other = (of_classes(data, half) for half in ((0, 1), (2, 3)))
    assert len(one.train) + len(other.train) == len(data.train)
    assert one.classes + other.classes == data.classes
    assert set(other.test.y.tolist()) == {0, 1}


def test_champions_are_read_from_topology_files_and_masks(tmp_path: Path) -> None:
    first, second = PAIRS["one layer"]
    first.save(tmp_path / "a.safetensors")
    second.save(tmp_path / "b.safetensors")
    np.savez(tmp_path / "c.npz", **{"0_0": first.masks()[0], "1_0": second.masks()[0]})
    assert champion(f"mine={tmp_path / 'a.safetensors'}", 2).forms[""] == (first, first)
    assert champion(f"mine={tmp_path / 'a.safetensors'}+{tmp_path / 'b.safetensors'}", 2).forms[""] == (first, second)
    assert champion(f"mine={tmp_path / 'c.npz'}", 2).forms[""] == (first, second)
    Stack((first, second)).save(tmp_path / "both.safetensors")
    assert champion(f"mine={tmp_path / 'both.safetensors'}", 2).forms[""] == (first, second)
    with pytest.raises(ValueError, match="no champion that can be read"):
        champion("mine=nothing.npz", 2)


def test_it_runs_without_the_search(tmp_path: Path) -> None:
    absent = ["pydantic", "deap", "ray", "optuna", "mlflow", "sklearn", "typer", "matplotlib", "networkx", "pandas"]
    program = f"import sys; sys.modules.update(dict.fromkeys({absent})); import tests.benchmarks.trained.__main__"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[1])
