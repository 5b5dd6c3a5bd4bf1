"""Variation of stacks: exactly the budget of all places, sizes kept or within their bounds, and each does its work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.variation.bounds import Bounds
from evo.variation.fit_stack import bounds_of, fitted
from evo.variation.places import (
    STACK_OPERATORS,
    copy_place,
    crossover_stack,
    fill_stack,
    move_budget,
    mutate_stack,
)
from evo.variation.sample_stack import sample_stack
from topologies.entries import TRAINABLE
from topologies.packing import to_text
from topologies.stack import Layout, Stack

FIXED = Layout(((16, 12), (12, 12), (12, 12)))
FREE = Layout(((16, 12), (12, 8)), ((6, 24), (4, 16)))
LAYOUTS = {"fixed": FIXED, "free": FREE, "apart": Layout(((16, 9), (7, 12)))}
BOUNDS = Bounds(budget=151, max_depth=12, max_width=48, max_edges=320)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def some(layout: Layout, seed: int, bounds: Bounds = BOUNDS) -> Stack:
    """A stack that a search could hold: sampled, where the first draws find one."""
    generator = rng(seed)
    found = next(one for _ in range(50) if (one := sample_stack(layout, bounds, generator)) is not None)
    assert_admissible(found, layout, bounds)
    return found


def assert_admissible(stack: Stack, layout: Layout, bounds: Bounds) -> None:
    """What every candidate must be, counted on dense masks."""
    masks = [mask for place in stack.places for mask in place.masks()]
    assert sum((mask == TRAINABLE).sum() for mask in masks) == bounds.budget
    assert sum((mask != 0).sum() for mask in masks) <= bounds.max_edges
    assert len(masks) <= bounds.max_depth
    assert max(width for place in stack.places for width in place.widths[1:-1] or (0,)) <= bounds.max_width
    for place in stack.places:
        reach = np.eye(place.n_in, dtype=int)
        for mask in place.masks():
            reach = np.minimum(reach @ (mask != 0), 1)
        assert reach.all()
    if not layout.widths:
        assert stack.sizes == layout.sizes
        return
    assert stack.n_in == layout.sizes[0][0] and stack.is_chained and len(stack.places) == len(layout.sizes)
    assert all(least <= size[1] <= most for size, (least, most) in zip(stack.sizes, layout.widths, strict=True))


@pytest.mark.parametrize("name", LAYOUTS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_offspring_keep_the_budget_of_all_places_and_repeat(name: str, seed: int) -> None:
    layout = LAYOUTS[name]
    parents = some(layout, seed), some(layout, seed + 1)
    before = [to_text(parent) for parent in parents]
    first, again = (mutate_stack(parents[0], layout, BOUNDS, rng(seed)) for _ in range(2))
    assert first is not None and first == again
    assert first[1].digest != parents[0].digest
    assert_admissible(first[1], layout, BOUNDS)
    child = crossover_stack(*parents, layout, BOUNDS, rng(seed))
    assert child == crossover_stack(*parents, layout, BOUNDS, rng(seed))
    if child is not None:
        assert_admissible(child, layout, BOUNDS)
    assert [to_text(parent) for parent in parents] == before


@pytest.mark.parametrize("name", STACK_OPERATORS)
def test_every_operator_finds_something_and_is_admissible(name: str) -> None:
    layout = FREE if name.endswith("_between") else FIXED
    found = [STACK_OPERATORS[name](some(layout, seed), layout, BOUNDS, rng(seed)) for seed in range(12)]
    children = [one for one in found if one is not None]
    assert len(children) >= 4
    for child in children:
        assert_admissible(child, layout, BOUNDS)


def shared(count: int = 2) -> Stack:
    """Places of 12 x 12 that share one topology."""
    one = some(Layout(((12, 12),)), 3, replace(BOUNDS, budget=60, max_edges=100, max_depth=4)).places[0]
    return Stack((one,) * count)


def test_places_that_share_a_topology_mostly_go_on_sharing() -> None:
    parent, layout, bounds = shared(), Layout(((12, 12),) * 2), replace(BOUNDS, budget=120)
    children = [mutate_stack(parent, layout, bounds, rng(seed)) for seed in range(60)]
    sharing = [child[1].places[0] == child[1].places[1] for child in children if child is not None]
    assert len(sharing) == 60 and 0.6 < np.mean(sharing) < 1


def test_budget_moves_from_one_place_to_another() -> None:
    for seed in range(8):
        parent = some(FIXED, seed)
        child = move_budget(parent, FIXED, BOUNDS, rng(seed))
        if child is not None:
            moved = np.array([[place.n_trainable for place in one.places] for one in (parent, child)])
            assert moved.sum(axis=1).tolist() == [151, 151] and (moved[0] != moved[1]).any()


def test_a_place_takes_over_the_topology_of_another() -> None:
    """An odd edge of a budget cannot be shared by two: it goes where it can, or the two cease to be equal."""
    even = replace(BOUNDS, budget=150)
    found = [copy_place(some(FIXED, seed, even), FIXED, even, rng(seed)) for seed in range(10)]
    assert any(one is not None and one.places[1] == one.places[2] for one in found)


def test_new_hidden_neurons_see_in_part_what_another_sees() -> None:
    parent = some(FREE, 0)
    before = {tuple(column) for column in parent.places[0].masks()[-1].T.tolist()}
    wider = [
        child
        for seed in range(30)
        if (child := STACK_OPERATORS["insert_between"](parent, FREE, BOUNDS, rng(seed)))
        and child.places[0].n_out > parent.places[0].n_out
    ]
    assert wider
    for child in wider:
        assert child.places[1].n_in == child.places[0].n_out
        assert [place.n_trainable for place in child.places] == [place.n_trainable for place in parent.places]
        new = child.places[0].masks()[-1].T[parent.places[0].n_out :].tolist()
        assert any(tuple(column) not in before for column in new)


def test_widths_change_where_they_are_free_alone() -> None:
    def sizes(layout: Layout) -> set[object]:
        parent = some(layout, 1)
        return {found[1].sizes for seed in range(40) if (found := mutate_stack(parent, layout, BOUNDS, rng(seed)))}

    assert sizes(FIXED) == {FIXED.sizes}
    assert len(sizes(FREE)) > 3


def test_stacks_are_filled_up_alike_and_equal_places_stay_equal() -> None:
    layout, bounds = Layout(((12, 12),) * 2), replace(BOUNDS, budget=130)
    found = fill_stack(shared(), layout, bounds, rng())
    assert found is not None and found.places[0] == found.places[1]
    assert_admissible(found, layout, bounds)
    odd = fill_stack(shared(), layout, replace(bounds, budget=131), rng())
    assert odd is not None and [place.n_trainable for place in odd.places] == [66, 65]
    assert fill_stack(shared(), layout, replace(bounds, budget=119), rng()) is None
    assert fill_stack(shared(3), layout, bounds, rng()) is None
    assert fill_stack(shared(), layout, replace(bounds, max_depth=2), rng()) is None


def test_what_has_too_much_is_scaled_down_alike() -> None:
    parent = some(FIXED, 2)
    fewer = replace(BOUNDS, budget=140)
    found = fitted(parent.places, FIXED, fewer, rng())
    assert found is not None
    assert_admissible(found, FIXED, fewer)
    for before, after in zip(parent.places, found.places, strict=True):
        assert after.n_trainable == pytest.approx(before.n_trainable * 140 / 151, abs=1.01)


def test_random_stacks_differ_in_division_sharing_and_widths() -> None:
    drawn = [one for seed in range(60) if (one := sample_stack(FREE, BOUNDS, rng(seed)))]
    assert len(drawn) > 20 and len({one.sizes for one in drawn}) > 15
    assert len({one.places[0].n_trainable for one in drawn}) > 15
    twins = Layout(((12, 12),) * 2)
    even = replace(BOUNDS, budget=150)
    pairs = [one for seed in range(40) if (one := sample_stack(twins, even, rng(seed)))]
    assert 0.2 < np.mean([one.places[0] == one.places[1] for one in pairs]) < 0.8
    assert sample_stack(twins, replace(BOUNDS, budget=40), rng()) is None


def test_parents_of_other_widths_are_crossed_where_sizes_agree_alone() -> None:
    parents = some(FREE, 1), some(FREE, 2)
    assert parents[0].sizes != parents[1].sizes
    assert all(crossover_stack(*parents, FREE, BOUNDS, rng(seed)) is None for seed in range(10))


def test_a_place_has_the_room_that_the_others_leave() -> None:
    stack = some(FIXED, 4)
    room = bounds_of(stack, (0,), BOUNDS)
    others = stack.places[1:]
    assert room.budget == stack.places[0].n_trainable
    assert room.max_edges == 320 - sum(one.n_edges for one in others)
    assert room.max_depth == 12 - sum(one.depth for one in others)


def test_samples_whose_places_share_a_topology_keep_to_the_depth_of_all() -> None:
    shallow = Bounds(budget=64, max_depth=1, max_width=16, max_edges=200)
    assert all(sample_stack(Layout(((8, 8), (8, 8))), shallow, rng(seed)) is None for seed in range(40))
