"""The compiled kernel against its plain reference, and the independence of its lanes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.reconstruction import cpu, reference
from evaluators.reconstruction.schedule import Schedule, one_cycle
from topologies import Topology, butterfly, clos, low_rank, parallel_butterfly

pytestmark = pytest.mark.kernel


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Any cascade: odd widths, constants, neurons without edges, layers without trainable edges."""
    widths = draw(st.lists(st.integers(1, 19), min_size=2, max_size=5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    kinds = draw(st.sampled_from([[0, 1], [0, 1, 2], [0, 0, 1, 2], [1], [0, 2]]))
    return Topology.from_masks([generator.choice(kinds, (a, b)) for a, b in itertools.pairwise(widths)])


def problems(topology: Topology, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    weights = generator.normal(0, 0.5, (count, topology.n_trainable)).astype(np.float32)
    targets = generator.standard_normal((count, topology.n_in, topology.n_out)).astype(np.float32)
    return weights, targets, generator.uniform(0.01, 0.1, count)


@settings(max_examples=30, deadline=None)
@given(topologies(), st.integers(1, 11))
def test_equals_the_reference_over_short_runs(topology: Topology, count: int) -> None:
    weights, targets, rates = problems(topology, count)
    losses, kept = cpu.train(topology, weights, targets, rates, one_cycle(6))
    expected, expected_kept = reference.train(topology, weights.astype(np.float64), targets, rates, one_cycle(6))
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    apart = np.abs(kept - expected_kept)  # Adam takes a whole step where a gradient is nothing but rounding
    assert (apart > 1e-4).sum() <= 0.01 * apart.size and apart.max(initial=0) < 1e-2


@pytest.mark.parametrize("topology", [butterfly(16, 6), parallel_butterfly(8, 2, 4), clos(12, 4, 3, 4, 20)])
def test_equals_the_reference_statistically_over_full_runs(topology: Topology) -> None:
    weights, targets, _ = problems(topology, 8)
    rates = np.full(8, 0.1)
    losses, _ = cpu.train(topology, weights, targets, rates, one_cycle(60))
    expected, _ = reference.train(topology, weights, targets, rates, one_cycle(60))
    assert losses.mean() == pytest.approx(expected.mean(), rel=0.03)


@pytest.mark.parametrize("topology", [butterfly(8, 5), clos(6, 2, 3, 2, 9), low_rank(7, 5, 2)])
def test_the_first_step_follows_autograd_in_float64(topology: Topology) -> None:
    # With epsilon far below the gradients, Adam's first step is -rate * sign(gradient): it shows every sign; the
    # size of a gradient shows in the second step, through the ratio of the two.
    weights, targets, _ = problems(topology, 3)
    rates, schedule = np.full(3, 1e-3), Schedule(np.ones(3, dtype=np.float32), 0.9, 0.999)
    _, kept = cpu.train(topology, weights, targets, rates, schedule)
    for start, target, after in zip(weights, targets, kept, strict=True):
        w = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        goal = torch.tensor(target, dtype=torch.float64)
        first = torch.autograd.grad((reference.product(topology, w) - goal).square().sum() / 2, w)[0]
        v = (w - 1e-3 * torch.sign(first)).detach().requires_grad_()
        second = torch.autograd.grad((reference.product(topology, v) - goal).square().sum() / 2, v)[0]
        mean = (0.09 * first + 0.1 * second) / (1 - 0.9**2)
        square = (0.000999 * first**2 + 0.001 * second**2) / (1 - 0.999**2)
        np.testing.assert_allclose(after, (v - 1e-3 * mean / square.sqrt()).detach().numpy(), atol=2e-6)


@settings(max_examples=20, deadline=None)
@given(topologies(), st.integers(1, 7))
def test_a_problem_does_not_depend_on_its_neighbours(topology: Topology, first: int) -> None:
    weights, targets, rates = problems(topology, 12)
    whole, kept = cpu.train(topology, weights, targets, rates, one_cycle(9))
    parts = [
        cpu.train(topology, weights[part], targets[part], rates[part], one_cycle(9))
        for part in (slice(0, first), slice(first, 12))
    ]
    assert np.array_equal(whole, np.concatenate([losses for losses, _ in parts]))
    assert np.array_equal(kept, np.concatenate([weights for _, weights in parts]))


def test_a_lane_that_diverges_leaves_the_others_alone() -> None:
    topology = butterfly(16, 12)
    weights, targets, rates = problems(topology, 8)
    calm, _ = cpu.train(topology, weights, targets, rates, one_cycle(40))
    rates[3], weights[5] = 1e6, np.nan
    wild, kept = cpu.train(topology, weights, targets, rates, one_cycle(40))
    others = [0, 1, 2, 4, 6, 7]
    assert np.array_equal(calm[others], wild[others])
    assert wild[5] == np.inf
    assert np.isfinite(kept[3]).all(), "the weights kept are those of the best step, not of the last"


def test_the_kept_weights_have_the_least_loss() -> None:
    topology = parallel_butterfly(8, 2, 4)
    weights, targets, rates = problems(topology, 5)
    losses, kept = cpu.train(topology, weights, targets, rates * 20, one_cycle(60))
    for loss, best, target in zip(losses, kept, targets, strict=True):
        product = reference.product(topology, torch.tensor(best, dtype=torch.float64)).numpy()
        assert np.square(product - target).sum() == pytest.approx(loss, rel=1e-4)
