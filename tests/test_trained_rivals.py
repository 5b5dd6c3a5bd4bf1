"""Networks trained together come out as those that are trained one by one; rivals are what their names say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evaluators.rng import generator
from evaluators.training.data import Data
from evaluators.training.models import Perceptron
from evaluators.training.training import alone, error, train
from tests.benchmarks.trained.batched import Batch, Job, OnDevice
from tests.benchmarks.trained.rigl import masks_of
from tests.benchmarks.trained.together import train_all
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
