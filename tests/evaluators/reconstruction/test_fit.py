"""Cascades fitted to the weights of dense layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import topologies.models as tm
from evaluators.reconstruction import fit
from tests.topologies.models.cascades import matrix, small
from topologies import clos, dense, low_rank, parallel_butterfly, random_regular
from topologies.topology import Topology

TOPOLOGIES = {
    "square": random_regular(16, 16, 16, 4, 3, diagonal=True),
    "not square": clos(24, 4, 3, 5, 20, skip=False),
    "some layers with constants": parallel_butterfly(16, 2, 4, diagonal=True),
    "constants everywhere": small(),
    "one layer": dense(9, 5),
}


def target(topology: Topology, size: float, seed: int = 0) -> Any:
    return (size * np.random.default_rng(seed).standard_normal((topology.n_in, topology.n_out))).astype(np.float32)


@pytest.mark.parametrize("topology", TOPOLOGIES.values(), ids=TOPOLOGIES.keys())
@pytest.mark.parametrize("size", [1.0, 0.03, 40.0])
def test_the_weights_have_the_error_that_it_says(topology: Topology, size: float) -> None:
    wanted = target(topology, size)
    fitted = fit(topology, wanted, steps=60)
    assert fitted.weights.shape == (topology.n_trainable,) and fitted.weights.dtype == np.float32
    found = matrix(topology, torch.from_numpy(fitted.weights).double()).numpy()
    error = np.square(found - wanted).sum() / np.square(wanted, dtype=np.float64).sum()
    assert fitted.error == pytest.approx(error, rel=1e-3, abs=1e-8)


@pytest.mark.parametrize("name", ["square", "not square", "some layers with constants", "one layer"])
def test_the_size_of_the_matrix_changes_nothing_where_a_layer_can_take_it_up(name: str) -> None:
    topology = TOPOLOGIES[name]
    errors = [fit(topology, target(topology, size), steps=100).error for size in (1.0, 0.02, 50.0)]
    assert errors == pytest.approx([errors[0]] * 3, rel=0.02, abs=1e-6)


def test_more_steps_rates_and_restarts_find_no_worse() -> None:
    topology = TOPOLOGIES["square"]
    wanted = target(topology, 0.1)
    short, long = fit(topology, wanted, steps=50), fit(topology, wanted, steps=500)
    assert long.error < short.error < 1
    few = fit(topology, wanted, steps=50, rates=(0.6,), restarts=1)
    assert fit(topology, wanted, steps=50, rates=(0.6,), restarts=3).error <= few.error
    assert fit(topology, wanted, steps=50, rates=(0.15, 0.6), restarts=1).error <= few.error
    assert short.learning_rate in (0.15, 0.6, 1.2, 2.4)


def test_what_low_rank_can_reach_is_found() -> None:
    """Two dense layers of rank 6 come near the best matrix of that rank, whose error the singular values say."""
    wanted = target(low_rank(24, 16, 6), 0.2)
    values = np.linalg.svd(wanted, compute_uv=False)
    best = np.square(values[6:]).sum() / np.square(values).sum()
    found = fit(low_rank(24, 16, 6), wanted, steps=2000).error
    assert best * 0.9999 < found < 1.02 * best


def test_equal_arguments_give_equal_weights_and_other_seeds_others() -> None:
    topology = TOPOLOGIES["square"]
    wanted = target(topology, 1)
    first, again, other = (fit(topology, wanted, steps=20, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.weights, again.weights) and first.error == again.error
    assert not np.array_equal(first.weights, other.weights)


def test_a_fit_that_is_worse_than_nothing_says_so_and_why() -> None:
    with pytest.warns(UserWarning, match="no nearer to the matrix than zero.*every layer of the topology has constant"):
        assert fit(clos(24, 4, 3, 5, 20), target(clos(24, 4, 3, 5, 20), 0.02), steps=50).error > 1


@pytest.mark.parametrize("name", ["square", "not square", "one layer"])
def test_the_zero_matrix_is_met_exactly_and_can_be_trained_away_from(name: str) -> None:
    topology = TOPOLOGIES[name]
    nothing = np.zeros((topology.n_in, topology.n_out))
    cascade = tm.SparseCascade(topology, bias=False)
    with torch.no_grad():
        cascade.edge_weight.copy_(torch.from_numpy(fit(topology, nothing, steps=10).weights))
    assert not cascade.weight.any()
    cascade(torch.ones(1, topology.n_in)).sum().backward()
    assert cascade.edge_weight.grad is not None and cascade.edge_weight.grad.any()


def test_a_topology_that_cannot_be_zero_says_so() -> None:
    with pytest.warns(UserWarning, match="every layer of the topology has constant edges"):
        assert fit(clos(24, 4, 3, 5, 20), np.zeros((24, 20)), steps=20).error == np.inf


def test_the_weight_of_a_layer_in_training_is_taken_as_it_is() -> None:
    topology, weight = TOPOLOGIES["not square"], nn.Linear(24, 20).bfloat16().weight
    expected = fit(topology, weight.detach().float().T.numpy(), steps=5)
    assert np.array_equal(fit(topology, weight.T, steps=5).weights, expected.weights)


def test_a_matrix_that_is_next_to_nothing_is_met_by_zero_and_all_of_it_is_left() -> None:
    topology, tiny = TOPOLOGIES["not square"], np.zeros((24, 20), np.float32)
    tiny[0, 0] = 1e-45
    found, nothing = fit(topology, tiny, steps=5), fit(topology, np.zeros((24, 20)), steps=5)
    assert np.array_equal(found.weights, nothing.weights)
    assert (found.error, nothing.error) == (1, 0)


@pytest.mark.parametrize(
    ("wanted", "options", "message"),
    [
        (np.ones((20, 24)), {}, r"the topology is 24 x 20 and the matrix is of shape \(20, 24\).*weight turned"),
        (np.full((24, 20), np.nan), {}, "not finite"),
        (np.full((24, 20), 1j), {}, "the matrix is complex128: real numbers are wanted"),
        (torch.ones(24, 20, device="meta"), {}, "no memory"),
        (np.ones((24, 20)), {"steps": 0}, "steps=0"),
        (np.ones((24, 20)), {"restarts": 0}, "restarts=0"),
        (np.ones((24, 20)), {"rates": ()}, r"rates=\(\)"),
        (np.ones((24, 20)), {"rates": (-1.0,)}, "rates"),
    ],
)
def test_bad_input_is_one_line(wanted: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        fit(TOPOLOGIES["not square"], wanted, **options)
    assert "\n" not in str(caught.value)


class TestLayersThatStartFromWeights:
    def test_a_linear_layer_keeps_its_bias_and_comes_near_its_weights(self) -> None:
        layer, topology = nn.Linear(24, 20), clos(24, 4, 12, 5, 20, diagonal=True)
        cascade = tm.replace_linear(layer, topology, weights=fit)
        error = float((cascade.weight - layer.weight).square().sum() / layer.weight.square().sum())
        assert error == pytest.approx(fit(topology, layer.weight.T.detach()).error, rel=1e-3)
        assert error < 0.6
        assert torch.equal(cascade.bias, layer.bias)

    def test_a_model_is_nearer_to_the_dense_one_than_from_a_fresh_draw(self) -> None:
        def model() -> nn.Sequential:
            torch.manual_seed(0)
            return nn.Sequential(nn.Linear(48, 64), nn.ReLU(), nn.Conv1d(1, 1, 1), nn.Linear(64, 48))

        x = torch.randn(64, 1, 48)
        wanted = model()(x)
        plan = tm.plan(model(), density=0.5, diagonal=True)
        fresh = (tm.convert(model(), plan)(x) - wanted).square().mean()
        fitted = (tm.convert(model(), plan, weights=partial(fit, steps=200))(x) - wanted).square().mean()
        assert fitted < 0.5 * fresh

    def test_half_precision_and_frozen_weights(self) -> None:
        layer = nn.Linear(24, 20).bfloat16()
        layer.weight.requires_grad_(False)
        cascade = tm.replace_linear(layer, clos(24, 4, 12, 5, 20, diagonal=True), weights=partial(fit, steps=50))
        assert cascade.edge_weight.dtype == torch.bfloat16 and not cascade.edge_weight.requires_grad

    def test_a_fit_that_fails_changes_nothing(self) -> None:
        model = nn.Sequential(nn.Linear(48, 64), nn.Linear(64, 48))
        before = list(model)

        def wrong(topology: Topology, matrix: Any) -> Any:
            return fit(topology, matrix, steps=1)._replace(weights=np.zeros(3, np.float32))

        with pytest.raises(ValueError, match=r"0: the fit returned an array of shape \(3,\)"):
            tm.convert(model, density=0.3, weights=wrong)
        with pytest.raises(ValueError, match="0: the dense weights have no memory"):
            tm.convert(nn.Sequential(nn.Linear(48, 64, device="meta")), density=0.3, weights=fit)
        assert list(model) == before
