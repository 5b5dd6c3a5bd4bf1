"""Variation: every operator keeps its promises on any parent, and each does what its name says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.variation import OPERATORS, WEIGHTS, crossover, fill, mutate, sample
from evo.variation.bounds import Bounds
from tests.evo.variation.admissible import FAST, ROOMY, SEEDS, assert_admissible, butterfly, problems, rng
from topologies.entries import CONSTANT, TRAINABLE
from topologies.topology import Topology

# --- promises that every operator keeps ---------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATORS)
@given(problem=problems(), seed=SEEDS)
@FAST
def test_operator_keeps_every_promise(name: str, problem: tuple[int, int, Bounds], seed: int) -> None:
    n_in, n_out, bounds = problem
    parent = sample(n_in, n_out, bounds, rng(seed))
    if parent is None:
        return
    before = [mask.copy() for mask in parent.masks()]
    child, again = (OPERATORS[name](parent, bounds, rng(seed + 1)) for _ in range(2))
    assert child == again
    assert all(np.array_equal(mask, was) for mask, was in zip(parent.masks(), before, strict=True))
    if child is not None:
        assert_admissible(child, bounds, (n_in, n_out))
        assert child.digest != parent.digest


@given(problem=problems(), seed=SEEDS)
@FAST
def test_crossover_keeps_every_promise(problem: tuple[int, int, Bounds], seed: int) -> None:
    n_in, n_out, bounds = problem
    first, second = (sample(n_in, n_out, bounds, rng(seed + i)) for i in range(2))
    if first is None or second is None:
        return
    child, again = (crossover(first, second, bounds, rng(seed)) for _ in range(2))
    assert child == again
    if child is not None:
        assert_admissible(child, bounds, (n_in, n_out))
        assert child.digest not in (first.digest, second.digest)


@given(problem=problems(), seed=SEEDS)
@FAST
def test_sample_keeps_every_promise(problem: tuple[int, int, Bounds], seed: int) -> None:
    n_in, n_out, bounds = problem
    topology, again = (sample(n_in, n_out, bounds, rng(seed)) for _ in range(2))
    assert topology == again
    if topology is not None:
        assert_admissible(topology, bounds, (n_in, n_out))


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_succeeds_often_where_there_is_room(name: str) -> None:
    generator = rng(1)
    parents = [butterfly(16, 8), *(sample(16, 16, ROOMY, generator) for _ in range(30))]
    children = [OPERATORS[name](parent, ROOMY, generator) for parent in parents if parent is not None]
    assert sum(child is not None for child in children) > len(parents) / 4


def test_weights_name_the_operators() -> None:
    assert list(WEIGHTS) == list(OPERATORS)
    assert min(WEIGHTS.values()) > 0


# --- what each operator is for ------------------------------------------------------------------------------


def children_of(name: str, parent: Topology, bounds: Bounds, number: int = 30) -> list[Topology]:
    generator = rng(2)
    made = (OPERATORS[name](parent, bounds, generator) for _ in range(number))
    found = [child for child in made if child is not None]
    assert found
    return found


def fans(topology: Topology) -> list[list[int]]:
    return [sorted(side.tolist()) for layer in topology.layers for side in (layer.fan_in, layer.fan_out)]


def trainable(topology: Topology) -> list[int]:
    return [layer.n_trainable for layer in topology.layers]


@pytest.fixture
def parent() -> Topology:
    """Six layers of fan-in 4 or so, constants throughout: connected many times over."""
    filled = fill(butterfly(16, 6), ROOMY, rng())
    assert filled is not None
    return filled


def test_rewiring_keeps_widths_and_shares(parent: Topology) -> None:
    for child in children_of("rewire", parent, ROOMY):
        assert child.widths == parent.widths
        assert trainable(child) == trainable(parent)
        assert child.n_constant == parent.n_constant
        changed = sum(mine != theirs for mine, theirs in zip(child.layers, parent.layers, strict=True))
        assert changed == 1


@pytest.mark.parametrize("name", ["swap", "permute"])
def test_swapping_and_permuting_keep_every_fan(name: str, parent: Topology) -> None:
    for child in children_of(name, parent, ROOMY):
        assert fans(child) == fans(parent)
        assert child.n_constant == parent.n_constant


@pytest.mark.parametrize("name", ["move", "share"])
def test_moving_takes_from_one_layer_for_another(name: str, parent: Topology) -> None:
    for child in children_of(name, parent, ROOMY):
        difference = np.subtract(trainable(child), trainable(parent))
        assert sorted(np.sign(difference)) == [-1, 0, 0, 0, 0, 1]
        assert child.widths == parent.widths


def test_share_takes_large_parts_at_times(parent: Topology) -> None:
    lost = [1 - min(np.divide(trainable(child), trainable(parent))) for child in children_of("share", parent, ROOMY)]
    assert max(lost) > 0.3
    assert max(lost) <= 0.4


def test_exchanging_keeps_all_edges(parent: Topology) -> None:
    for child in children_of("exchange", parent, ROOMY):
        for mine, theirs in zip(child.masks(), parent.masks(), strict=True):
            assert np.array_equal(mine != 0, theirs != 0)
            assert np.array_equal((mine == CONSTANT).sum(axis=0), (theirs == CONSTANT).sum(axis=0))


def test_freezing_adds_constants_and_edges() -> None:
    plain = butterfly(16, 5, kind=TRAINABLE)
    bounds = Bounds(plain.n_trainable, 8, 32, 2 * plain.n_trainable)
    for child in children_of("freeze", plain, bounds):
        assert child.n_constant > 0
        for mask in child.masks():
            assert (mask == CONSTANT).sum(axis=0).max() <= 1
            assert (mask == TRAINABLE).any(axis=0).all()


def test_freezing_stops_at_max_edges() -> None:
    plain = butterfly(16, 5, kind=TRAINABLE)
    bounds = Bounds(plain.n_trainable, 8, 32, plain.n_trainable + 2)
    assert max(child.n_constant for child in children_of("freeze", plain, bounds)) == 2


def test_thawing_removes_constants(parent: Topology) -> None:
    for child in children_of("thaw", parent, ROOMY):
        assert child.n_constant < parent.n_constant
        assert child.widths == parent.widths


def test_inserting_a_layer_adds_one(parent: Topology) -> None:
    for child in children_of("insert_layer", parent, ROOMY):
        assert child.depth == parent.depth + 1
        assert min(trainable(child)) > 0


def test_inserting_a_layer_stops_at_max_depth(parent: Topology) -> None:
    bounds = Bounds(128, parent.depth, 32, 256)
    assert all(OPERATORS["insert_layer"](parent, bounds, rng(seed)) is None for seed in range(10))


def test_inserting_a_layer_works_without_constants() -> None:
    bounds = Bounds(budget=160, max_depth=8, max_width=32, max_edges=160)
    for child in children_of("insert_layer", butterfly(16, 5, kind=TRAINABLE), bounds):
        assert (child.depth, child.n_constant) == (6, 0)


def test_removing_a_layer_removes_one(parent: Topology) -> None:
    for child in children_of("remove_layer", parent, ROOMY):
        assert child.depth == parent.depth - 1


def test_removing_a_layer_keeps_paths_of_constants(parent: Topology) -> None:
    for child in children_of("remove_layer", parent, ROOMY):
        for mask in child.masks():
            assert np.array_equal(mask == CONSTANT, np.eye(16) == 1)


def test_a_single_layer_is_reached_only_with_the_budget_of_a_dense_one() -> None:
    tight = Topology.from_masks([np.array([[1, 0], [0, 2]]), np.array([[2, 1], [1, 1]])])
    for child in children_of("remove_layer", tight, Bounds(4, 3, 4, 8)):
        assert [mask.tolist() for mask in child.masks()] == [[[1, 1], [1, 1]]]
    roomier = Topology.from_masks([np.array([[1, 1], [0, 1], [0, 1]]), np.array([[1, 0, 0], [1, 1, 1]])])
    assert all(OPERATORS["remove_layer"](roomier, Bounds(8, 3, 4, 16), rng(seed)) is None for seed in range(10))


def test_a_single_layer_need_not_be_dense_where_pairs_may_be_unconnected() -> None:
    two = Topology.from_masks([np.array([[1, 1], [0, 1], [0, 1]]), np.array([[1, 0, 0], [1, 1, 1]])])
    apart = Bounds(8, 3, 4, 16, connected=False)
    found = [one for seed in range(10) if (one := OPERATORS["remove_layer"](two, apart, rng(seed))) is not None]
    assert found and all(one.depth == 1 for one in found)


def test_inserting_neurons_widens_one_layer(parent: Topology) -> None:
    for child in children_of("insert_neurons", parent, ROOMY):
        assert sorted(np.sign(np.subtract(child.widths, parent.widths))) == [0] * parent.depth + [1]


def test_removing_neurons_narrows_one_layer(parent: Topology) -> None:
    for child in children_of("remove_neurons", parent, ROOMY):
        assert sorted(np.sign(np.subtract(child.widths, parent.widths))) == [-1] + [0] * parent.depth


def test_shifting_width_narrows_one_layer_and_widens_another(parent: Topology) -> None:
    for child in children_of("shift_width", parent, ROOMY):
        assert sorted(np.sign(np.subtract(child.widths, parent.widths))) == [-1] + [0] * (parent.depth - 1) + [1]


def test_permuting_reaches_inputs_and_outputs(parent: Topology) -> None:
    """An input or output keeps its number in the canonical form, so that permuting them is a change."""
    changed = {
        place
        for child in children_of("permute", parent, ROOMY, 60)
        for place in range(parent.depth)
        if child.layers[place] != parent.layers[place]
    }
    assert {0, parent.depth - 1} <= changed


# --- crossover, sample, fill, mutate --------------------------------------------------------------------------


def test_crossover_starts_like_one_parent_and_ends_like_the_other() -> None:
    """Layers that differ in which digit they mix tell where each part comes from; equal parts need no repair."""
    even, odd = butterfly(16, 8), Topology(tuple(reversed(butterfly(16, 8).layers)))
    generator = rng()
    for _ in range(20):
        child = crossover(even, odd, ROOMY, generator)
        if child is None or child.depth != 8 or child.widths != even.widths:
            continue
        assert any(child.layers == even.layers[:cut] + odd.layers[cut:] for cut in range(1, 8))
        break
    else:
        pytest.fail("no child of unchanged parts in 20 tries")


def test_crossover_of_different_sizes_is_refused() -> None:
    with pytest.raises(ValueError, match="8 x 8 and 16 x 16"):
        crossover(butterfly(8, 3), butterfly(16, 8), ROOMY, rng())


def test_a_parent_crossed_with_itself_at_the_same_cut_is_no_child() -> None:
    shallow = Topology.from_masks([np.ones((4, 2)), np.ones((2, 4))])  # one place to cut: nothing new can come
    assert crossover(shallow, shallow, Bounds(16, 4, 8, 16), rng()) is None


@pytest.mark.parametrize(
    ("n_in", "n_out", "bounds"),
    [
        (32, 32, Bounds(640, 12, 64, 1280)),
        (32, 32, Bounds(160, 12, 64, 480)),
        (24, 40, Bounds(600, 12, 80, 1200)),
        (8, 8, Bounds(64, 8, 16, 64)),
        (8, 8, Bounds(16, 8, 16, 32)),
        (7, 7, Bounds(16, 4, 14, 16)),
        (2, 9, Bounds(13, 4, 9, 16)),
        (2, 2, Bounds(4, 3, 4, 8)),
        (16, 16, Bounds(256, 12, 4, 512)),
    ],
)
def test_sample_succeeds_from_a_star_to_a_dense_layer(n_in: int, n_out: int, bounds: Bounds) -> None:
    for seed in range(10):
        topology = sample(n_in, n_out, bounds, rng(seed))
        assert topology is not None
        assert_admissible(topology, bounds, (n_in, n_out))


def test_sample_gives_up_below_the_budget_of_a_star() -> None:
    assert sample(8, 8, Bounds(12, 4, 8, 12), rng()) is None  # 16 inputs and outputs need an edge each


def test_sample_gives_up_where_nothing_has_room_for_the_budget() -> None:
    assert sample(8, 8, Bounds(63, 3, 2, 100), rng()) is None  # 8 x 2 + 2 x 2 + 2 x 8 = 36 edges at most


def test_samples_cover_depths_widths_and_constants() -> None:
    bounds = Bounds(640, 12, 64, 1280)
    generator = rng()
    found = [sample(32, 32, bounds, generator) for _ in range(150)]
    topologies = [topology for topology in found if topology is not None]
    assert {topology.depth for topology in topologies} == set(range(2, 13))
    middles = [np.mean(topology.widths[1:-1]) for topology in topologies]
    assert min(middles) < 20
    assert max(middles) > 50
    assert 0.2 < np.mean([topology.n_constant == 0 for topology in topologies]) < 0.5
    assert len({topology.digest for topology in topologies}) == len(topologies)


def test_samples_have_even_fans() -> None:
    """Far more even than a Poisson number of edges a neuron, whose variance is the mean."""
    generator = rng()
    ratios = []
    for _ in range(40):
        topology = sample(32, 32, Bounds(640, 6, 48, 1280), generator)
        assert topology is not None
        ratios += [fan.var() / fan.mean() for layer in topology.layers for fan in (layer.fan_in, layer.fan_out)]
    assert np.median(ratios) < 0.2


@given(budget=st.integers(64, 400), seed=SEEDS)
@FAST
def test_fill_only_adds_trainable_edges(budget: int, seed: int) -> None:
    start = butterfly(16, 4)
    bounds = Bounds(budget, 4, 16, budget + 64)
    filled = fill(start, bounds, rng(seed))
    assert filled is not None
    assert_admissible(filled, bounds, (16, 16))
    for mine, theirs in zip(filled.masks(), start.masks(), strict=True):
        assert np.array_equal(mine[theirs > 0], theirs[theirs > 0])


def test_fill_leaves_what_is_on_budget() -> None:
    start = butterfly(16, 4)
    assert fill(start, Bounds(64, 4, 16, 128), rng()) == start


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(63, 4, 16, 200),  # too many trainable edges
        Bounds(64, 3, 16, 200),  # too deep
        Bounds(64, 4, 15, 200),  # too wide
        Bounds(1000, 4, 16, 2000),  # 4 x 256 - 64 constants leave room for 960
    ],
)
def test_fill_gives_up_out_of_bounds(bounds: Bounds) -> None:
    assert fill(butterfly(16, 4), bounds, rng()) is None


def test_mutate_makes_children_of_many_kinds(parent: Topology) -> None:
    generator = rng()
    names = set()
    for _ in range(150):
        made = mutate(parent, ROOMY, generator)
        assert made is not None
        name, child = made
        names.add(name)
        assert ROOMY.admits(child)
    assert names >= set(OPERATORS) - {"freeze"}  # every neuron has a constant already


def test_mutate_gives_up_where_there_is_no_other_topology() -> None:
    """A star is the only way to join 3 inputs to 3 outputs by 6 trainable edges and no others."""
    star = Topology.from_masks([np.ones((3, 1)), np.ones((1, 3))])
    assert mutate(star, Bounds(6, 2, 1, 6), rng()) is None
