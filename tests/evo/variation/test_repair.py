"""Repair: whatever it is given becomes admissible by the least change, or nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.variation.bounds import Bounds
from evo.variation.repair import repair
from tests.evo.variation.admissible import FAST, ROOMY, SEEDS, assert_admissible, butterfly, rng
from topologies.entries import TRAINABLE


@given(density=st.floats(0, 0.8), depth=st.integers(2, 6), seed=SEEDS)
@FAST
def test_repair_of_anything_is_admissible_or_nothing(density: float, depth: int, seed: int) -> None:
    generator = rng(seed)
    widths = [10, *generator.integers(1, 20, depth - 1), 12]
    shapes = list(pairwise(widths))
    masks = [(generator.random(shape) < density) * generator.integers(1, 3, shape) for shape in shapes]
    topology = repair([mask.astype(np.int8) for mask in masks], ROOMY, generator)
    if topology is not None:
        assert_admissible(topology, ROOMY, (10, 12))


@pytest.mark.parametrize("place", range(4))
def test_repair_makes_good_the_loss_of_one_edge_by_one_edge(place: int) -> None:
    """In a butterfly with one layer a digit every pair has a single path, so that no edge can be spared."""
    whole = butterfly(16, 4)
    masks = whole.masks()
    masks[place][3, 3 ^ (1 << place)] = 0
    repaired = repair([mask.copy() for mask in masks], Bounds(64, 4, 16, 128), rng())
    assert repaired is not None
    assert_admissible(repaired, Bounds(64, 4, 16, 128), (16, 16))
    assert sum((mine != theirs).sum() for mine, theirs in zip(repaired.masks(), masks, strict=True)) == 1


def test_repair_removes_neurons_without_edges() -> None:
    masks = [np.pad(mask, ((0, place > 0), (0, place < 3))) for place, mask in enumerate(butterfly(16, 4).masks())]
    assert repair(masks, Bounds(64, 4, 32, 128), rng()) == butterfly(16, 4)


def test_repair_meets_the_budget_from_above() -> None:
    bounds = Bounds(100, 4, 16, 164)
    repaired = repair(butterfly(16, 4, kind=TRAINABLE).masks(), bounds, rng())
    assert repaired is not None  # no edge can go, so that some become constant
    assert_admissible(repaired, bounds, (16, 16))
    assert repaired.n_edges == 128
