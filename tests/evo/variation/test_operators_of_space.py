"""Operators that know where inputs are: each keeps every promise on any parent, and does what its name says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.variation import OPERATORS, crossover, mutate, of_space, redraw, sample
from evo.variation.bounds import Bounds
from evo.variation.founders import local_butterfly, patches, reordered
from evo.variation.space import Space
from topologies.entries import TRAINABLE
from topologies.families.butterfly import butterfly
from topologies.topology import Topology

GRID = Space.of_grid((8, 8))
BOUNDS = Bounds(budget=384, max_depth=8, max_width=128, max_edges=768, connected=False)
NAMES = tuple(of_space(GRID))
LOCAL = tuple(name for name in NAMES if name not in {*OPERATORS, "redraw"})


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def assert_admissible(topology: Topology, bounds: Bounds, ends: tuple[int, int]) -> None:
    """What every candidate must be, counted on dense masks."""
    masks = topology.masks()
    assert sum((mask == TRAINABLE).sum() for mask in masks) == bounds.budget
    assert sum((mask != 0).sum() for mask in masks) <= bounds.max_edges
    assert len(masks) <= bounds.max_depth
    assert all(mask.shape[1] <= bounds.max_width for mask in masks[:-1])
    assert (masks[0].shape[0], masks[-1].shape[1]) == ends
    paths = np.eye(ends[0])
    for mask in masks:
        assert mask.any(axis=0).all(), "a neuron without an edge into it"
        assert mask.any(axis=1).all(), "a neuron without an edge out of it"
        paths = np.minimum(1, paths @ (mask != 0))
    assert paths.all() or not bounds.connected, "an input that does not reach an output"


@st.composite
def problems(draw: st.DrawFn) -> tuple[Space, int, Bounds]:
    """A space by grid or by data with inputs that never change, and bounds within which layers connect or need not."""
    n_in, n_out = draw(st.integers(2, 14)), draw(st.integers(2, 14))
    x = rng(draw(st.integers(0, 9))).normal(size=(50, n_in)).cumsum(axis=1)
    x[:, sorted(draw(st.sets(st.integers(0, n_in - 1))))] = 1.0
    space = draw(st.sampled_from([Space.of_grid((n_in,)), Space.of_data(x)]))
    connected = draw(st.booleans())
    least = n_in + n_out if connected else max(n_in, n_out)
    budget = draw(st.integers(min(least, n_in * n_out), n_in * n_out))
    max_edges = budget + draw(st.integers(0, 2 * budget))
    return space, n_out, Bounds(budget, draw(st.integers(2, 7)), draw(st.integers(2, 20)), max_edges, connected)


SEEDS = st.integers(0, 2**32 - 1)
FAST = settings(max_examples=20, deadline=None)


@pytest.mark.parametrize("name", NAMES)
@given(problem=problems(), seed=SEEDS)
@FAST
def test_operator_keeps_every_promise(name: str, problem: tuple[Space, int, Bounds], seed: int) -> None:
    space, n_out, bounds = problem
    parent = sample(len(space), n_out, bounds, rng(seed), space)
    if parent is None:
        return
    before = [mask.copy() for mask in parent.masks()]
    child, again = (of_space(space)[name][0](parent, bounds, rng(seed + 1)) for _ in range(2))
    assert child == again
    assert all(np.array_equal(mask, was) for mask, was in zip(parent.masks(), before, strict=True))
    if child is not None:
        assert_admissible(child, bounds, (len(space), n_out))
        assert child.digest != parent.digest


@given(problem=problems(), seed=SEEDS)
@FAST
def test_sample_and_crossover_keep_every_promise(problem: tuple[Space, int, Bounds], seed: int) -> None:
    space, n_out, bounds = problem
    first, second = (sample(len(space), n_out, bounds, rng(seed + i), space) for i in range(2))
    assert first == sample(len(space), n_out, bounds, rng(seed), space)
    if first is None or second is None:
        return
    for one in (first, second, crossover(first, second, bounds, rng(seed))):
        if one is not None:
            assert_admissible(one, bounds, (len(space), n_out))


@pytest.mark.parametrize("name", NAMES)
def test_operator_succeeds_often_where_there_is_room(name: str) -> None:
    generator = rng(1)
    parents = [reordered(butterfly(64, 6), GRID.order), *(sample(64, 64, BOUNDS, generator, GRID) for _ in range(20))]
    children = [of_space(GRID)[name][0](parent, BOUNDS, generator) for parent in parents if parent is not None]
    assert sum(child is not None for child in children) > len(parents) / 5


# --- what each operator is for ------------------------------------------------------------------------------


def distances(topology: Topology) -> np.ndarray:
    """How far, on the grid, the pixels that a neuron of a single layer sees are from their middle; one an edge."""
    where = np.stack(np.unravel_index(np.arange(64), (8, 8)), axis=1)
    layer = topology.layers[0]
    middle = np.stack([where[layer.sources[layer.targets == target]].mean(axis=0) for target in range(layer.n_out)])
    return np.linalg.norm(where[layer.sources] - middle[layer.targets], axis=1)


def children_of(name: str, parent: Topology, number: int = 20) -> list[Topology]:
    generator = rng(2)
    made = (of_space(GRID)[name][0](parent, BOUNDS, generator) for _ in range(number))
    found = [child for child in made if child is not None]
    assert len(found) > number / 2
    return found


@pytest.fixture
def scattered() -> Topology:
    return patches(GRID, 64, 384, rng(), share=0.0)


@pytest.fixture
def local() -> Topology:
    return patches(GRID, 64, 384, rng())


@pytest.mark.parametrize("name", LOCAL)
def test_operators_of_space_keep_widths_and_shares(name: str) -> None:
    parent = reordered(local_butterfly(64, 64, 6, 4), GRID.order)
    for child in children_of(name, parent):
        assert child.widths == parent.widths
        assert [one.n_trainable for one in child.layers] == [one.n_trainable for one in parent.layers] or (
            name == "swap_blocks"
        )
        assert child.n_constant == parent.n_constant


@pytest.mark.parametrize("name", ["rewire_near", "window", "channels"])
def test_rewiring_by_nearness_brings_sources_together(name: str, scattered: Topology) -> None:
    before = distances(scattered).mean()
    after = [distances(child).mean() for child in children_of(name, scattered)]
    assert np.mean(after) < 0.97 * before
    assert min(after) < 0.8 * before


def test_rewiring_away_drives_them_apart(local: Topology) -> None:
    assert (
        np.mean([distances(child).mean() for child in children_of("rewire_far", local)]) > 1.1 * distances(local).mean()
    )


def test_windows_have_different_sizes_or_keep_them(local: Topology) -> None:
    sizes = [set(child.layers[0].fan_in.tolist()) for child in children_of("window", local, 30)]
    assert any(len(one) > 4 for one in sizes)
    assert any(one <= set(local.layers[0].fan_in.tolist()) for one in sizes)


def test_channels_put_neurons_at_the_places_of_others(local: Topology) -> None:
    """Patches all have places of their own, one a pixel; afterwards some share one and see other pixels around it."""
    child = max(children_of("channels", local), key=lambda one: np.count_nonzero(one.masks()[0] != local.masks()[0]))
    profiles = GRID.after(child).profiles
    near = profiles @ profiles.T
    np.fill_diagonal(near, 0)
    before = GRID.after(local).profiles
    alone = before @ before.T
    np.fill_diagonal(alone, 0)
    assert np.mean(near.max(axis=1)) > np.mean(alone.max(axis=1))
    assert len({tuple(column) for column in child.masks()[0].T.tolist()}) > 60


def test_a_copied_pattern_is_seen_by_the_neighbours() -> None:
    """A ring around its middle, which the neuron in the middle of the grid sees: others come to see rings."""
    mask = np.eye(64, dtype=np.int8)
    mask[:, 27] = 0
    ring = [18, 19, 20, 26, 28, 34, 35, 36]
    mask[ring, 27] = 1
    mask[27, 27] = 1
    rest = np.flatnonzero(np.arange(64) != 27)
    bounds = Bounds(9 + 63 * 9, 4, 64, 1200, connected=False)
    far = patches(GRID, 64, 64 * 9, rng(), share=0.2).masks()[0]
    mask[:, rest] = far[:, rest]
    parent = Topology.from_masks([mask])
    generator = rng(5)
    nearer = []
    for _ in range(40):
        child = of_space(GRID)["copy"][0](parent, bounds, generator)
        if child is not None:
            nearer.append(distances(child).mean() / distances(parent).mean())
    assert min(nearer) < 0.9


def test_a_mixture_is_between_patches_and_chance(scattered: Topology, local: Topology) -> None:
    found = [distances(child).mean() for child in children_of("mixture", scattered, 40)]
    assert min(found) < (distances(scattered).mean() + distances(local).mean()) / 2


def steps(topology: Topology, space: Space, rotates: bool) -> list[int]:
    """The strides of a single square layer, as often as there are edges."""
    at = np.argsort(space.order)
    layer = topology.layers[0]
    first, second = at[layer.sources], at[layer.targets]
    return ((first - second) % 64 if rotates else first ^ second).tolist()


def test_strides_make_a_layer_of_few_and_pass_them_on(scattered: Topology) -> None:
    """Six edges a neuron: six strides, by xor or by rotation; a child of such a layer keeps five of its own."""
    regular = [
        (child, rotates)
        for child in children_of("strides", scattered)
        for rotates in (False, True)
        if len(set(steps(child, GRID, rotates))) == 6
    ]
    assert {rotates for _, rotates in regular} == {False, True}
    for parent, rotates in regular[:4]:
        mine = set(steps(parent, GRID, rotates))
        kept = [len(mine & set(steps(child, GRID, rotates))) for child in children_of("strides", parent)]
        assert kept.count(5) > len(kept) / 5


def test_swapping_blocks_renumbers_inputs_alone(local: Topology) -> None:
    for child in children_of("swap_blocks", local):
        mine, theirs = child.masks()[0][GRID.order], local.masks()[0][GRID.order]
        moved = np.flatnonzero((mine != theirs).any(axis=1))
        assert sorted(map(tuple, mine.tolist())) == sorted(map(tuple, theirs.tolist()))
        half = moved.size // 2
        assert np.array_equal(mine[moved[:half]], theirs[moved[half:]])


def test_redrawing_keeps_statistics_and_evens_fans() -> None:
    parent = butterfly(32, 12)
    bounds = Bounds(384, 12, 64, 800)
    generator = rng(3)
    children = [child for _ in range(20) if (child := redraw(parent, bounds, generator)) is not None]
    assert len(children) > 15
    for child in children:
        assert child.depth == parent.depth
        assert child.widths[0] == child.widths[-1] == 32
    ratios = np.array([np.array(child.widths) / np.array(parent.widths) for child in children])
    assert np.median(ratios) == 1 and 0.8 < np.exp(np.log(ratios).mean()) < 1.25
    assert np.mean([child.widths == parent.widths for child in children]) < 0.8
    assert np.mean([child.n_constant for child in children]) == pytest.approx(parent.n_constant, rel=0.25)
    fans = [one.fan_in.var() / one.fan_in.mean() for child in children for one in child.layers]
    assert np.median(fans) < 0.3


# --- the whole set ------------------------------------------------------------------------------------------


def test_samples_are_local_scattered_and_mixed() -> None:
    generator = rng()
    flat = [one for _ in range(150) if (one := sample(64, 64, BOUNDS, generator, GRID)) is not None]
    spread = [distances(one).mean() for one in flat if one.depth == 1]
    assert len(spread) > 20
    near, far = (distances(patches(GRID, 64, 384, rng(), share)).mean() for share in (1.0, 0.0))
    places = (np.array(spread) - near) / (far - near)
    assert np.mean(places < 0.3) > 0.1
    assert np.mean(places > 0.9) > 0.1
    assert np.mean((places > 0.3) & (places < 0.9)) > 0.1


def test_without_a_space_the_old_operators_are_drawn_as_ever() -> None:
    parent = butterfly(16, 8)
    bounds = Bounds(128, 8, 32, 256)
    names = {made[0] for seed in range(60) if (made := mutate(parent, bounds, rng(seed))) is not None}
    assert names <= set(OPERATORS)
    in_space = (mutate(patches(GRID, 64, 384, rng()), BOUNDS, rng(seed), GRID) for seed in range(80))
    assert set(LOCAL) <= {made[0] for made in in_space if made is not None}


def test_two_single_layers_are_crossed_by_outputs(scattered: Topology, local: Topology) -> None:
    child = crossover(scattered, local, BOUNDS, rng())
    assert child is not None
    mine, first, second = (one.masks()[0].T for one in (child, scattered, local))
    of_first = (mine == first).all(axis=1)
    of_second = (mine == second).all(axis=1)
    assert of_first.sum() > 10
    assert of_second.sum() > 10
    assert (of_first | of_second).mean() > 0.6
