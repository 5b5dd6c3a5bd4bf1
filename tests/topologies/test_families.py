"""Each family against closed forms and against the definition of its graph, written a second way."""

from __future__ import annotations

import inspect
from itertools import product
from math import prod

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from topologies import (
    Topology,
    bernoulli,
    butterfly,
    clos,
    dense,
    expander,
    hypercube,
    low_rank,
    monarch,
    parallel_butterfly,
    radix_net,
    random_regular,
    torus,
)
from topologies.expression import parse
from topologies.families import FAMILIES, members
from topologies.families.digits import divisors, factorizations, radices
from topologies.families.family import MOST

quick = settings(max_examples=25, deadline=None)
sides = st.integers(2, 24)
placements = st.sampled_from(["copies", "output"])


def dense_edges(topology: Topology) -> list[np.ndarray]:
    """Whether an edge is there, per layer."""
    return [mask > 0 for mask in topology.masks()]


def paths(topology: Topology, kind: int | None = None) -> np.ndarray:
    """Number of paths from every input to every output, over edges of one kind only or over all."""
    count = np.eye(topology.n_in)
    for mask in topology.masks():
        count = count @ ((mask > 0) if kind is None else (mask == kind))
    return count


def frozen(topology: Topology) -> np.ndarray:
    """Pairs with no trainable edge on any path."""
    return paths(topology) == paths(topology, kind=2)


@pytest.mark.parametrize(
    ("expression", "n_edges", "n_trainable"),
    [
        ("butterfly(32, 18)", 1152, 576),
        ("hypercube(32, 6)", 1152, 960),
        ("torus((8, 4), 7)", 1120, 896),
        ("clos(32, 8, 9, 8)", 1152, 976),
        ("clos(32, 8, 5, 8)", 640, 528),
        ("clos(32, 16, 4, 16)", 1280, 1120),
        ("random_regular(32, 32, 32, 5, 5, 0)", 800, 640),
        ("parallel_butterfly(32, 2, 10)", 1280, 640),
        ("parallel_butterfly(32, 4, 5)", 1280, 640),
        ("parallel_butterfly(32, 1, 5)", 320, 160),
        ("parallel_butterfly(32, 2, 10, constants='output')", 1280, 672),
        ("low_rank(32, 32, 18)", 1152, 1102),
        ("dense(32, 32)", 1024, 1024),
    ],
)
def test_counts_of_the_paper(expression: str, n_edges: int, n_trainable: int) -> None:
    topology = parse(expression)
    assert (topology.n_edges, topology.n_trainable) == (n_edges, n_trainable)
    assert topology.is_connected


# --- butterfly, hypercube, torus, radix net: neighbourhoods by digits, written as tuples -----------------------------


def coordinates(system: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Digits of 0, 1, 2, ... in a mixed radix system, lowest digit first."""
    return [tuple(reversed(digits)) for digits in product(*(range(radix) for radix in reversed(system)))]


@pytest.mark.parametrize(
    ("n", "radix", "system"),
    [(32, 2, (2,) * 5), (48, 2, (2, 2, 2, 2, 3)), (32, 4, (4, 4, 2)), (48, 8, (8, 6)), (31, 2, (31,)), (15, 2, (3, 5))],
)
def test_radices(n: int, radix: int, system: tuple[int, ...]) -> None:
    assert radices(n, radix) == system


@quick
@given(st.integers(2, 60))
def test_factorizations_are_all_the_products(n: int) -> None:
    found = list(factorizations(n))
    assert len(found) == len(set(found))
    assert all(prod(each) == n and list(each) == sorted(each, reverse=True) for each in found)
    assert {each for each in found if len(each) == 2} == {(n // d, d) for d in range(2, n) if n % d == 0 and d * d <= n}


@quick
@given(st.integers(2, 30), st.integers(1, 7), st.data())
def test_butterfly_layer_changes_one_digit(n: int, depth: int, data: st.DataObject) -> None:
    radix = data.draw(st.sampled_from([2, *divisors(n)]))
    system, topology = radices(n, radix), butterfly(n, depth, radix)
    digits = coordinates(system)
    for layer, edges in enumerate(dense_edges(topology)):
        place = layer % len(system)
        for i, j in product(range(n), repeat=2):
            others_agree = all(digits[i][k] == digits[j][k] for k in range(len(system)) if k != place)
            assert edges[i, j] == others_agree
    assert topology.n_edges == n * sum(system[layer % len(system)] for layer in range(depth))
    assert topology.is_connected == (depth >= len(system))


@quick
@given(st.integers(2, 30), st.integers(1, 5))
def test_hypercube_is_the_hamming_graph(n: int, depth: int) -> None:
    system = radices(n)
    digits = np.array(coordinates(system))
    distance = (digits[:, None, :] != digits[None, :, :]).sum(axis=2)
    topology = hypercube(n, depth)
    assert all(np.array_equal(edges, distance <= 1) for edges in dense_edges(topology))
    assert topology.depth == depth
    assert topology.is_connected == (depth >= len(system))


@quick
@given(st.lists(st.integers(2, 6), min_size=1, max_size=3).filter(lambda shape: prod(shape) <= 48), st.integers(1, 7))
def test_torus_is_a_product_of_rings(shape: list[int], depth: int) -> None:
    graph = nx.grid_graph(dim=list(reversed([*shape])), periodic=True)  # networkx's first coordinate is dim's last
    digits = coordinates(tuple(shape))
    expected = nx.to_numpy_array(graph, nodelist=digits if len(shape) > 1 else [d[0] for d in digits], weight=None) > 0
    np.fill_diagonal(expected, True)
    topology = torus(tuple(shape), depth)
    assert all(np.array_equal(edges, expected) for edges in dense_edges(topology))
    assert topology.is_connected == (depth >= sum(size // 2 for size in shape))


def test_a_torus_of_twos_is_the_hypercube() -> None:
    assert torus((2, 2, 2, 2), 3) == hypercube(16, 3)


@quick
@given(st.lists(st.integers(2, 5), min_size=1, max_size=3), st.integers(1, 5))
def test_radix_net_adds_multiples_of_place_values(system: list[int], depth: int) -> None:
    n = prod(system)
    topology = radix_net(tuple(system), depth)
    for layer, edges in enumerate(dense_edges(topology)):
        place = layer % len(system)
        value, radix = prod(system[:place]), system[place]
        expected = np.zeros((n, n), dtype=bool)
        for i, k in product(range(n), range(radix)):
            expected[i, (i + k * value) % n] = True
        assert np.array_equal(edges, expected)
    assert topology.is_connected == (depth >= len(system))


@quick
@given(st.lists(st.integers(2, 4), min_size=1, max_size=4))
def test_one_path_joins_every_pair_at_the_least_depth(system: list[int]) -> None:
    """Butterfly, RadiX-Net and Monarch at their least depth have exactly one path between any two ends."""
    n = prod(system)
    assert (paths(radix_net(tuple(system))) == 1).all()
    assert (paths(butterfly(n, len(radices(n)))) == 1).all()
    if len(system) > 1:
        assert (paths(monarch(n, system[0])) == 1).all()


def test_bipartite_trap_is_avoided_by_self_edges() -> None:
    """On an even torus and a hypercube, walks of one length reach half of the neurons; self edges reach all."""
    for topology in (torus((4, 4), 4, skip=False), hypercube(16, 4, skip=False)):
        assert topology.is_connected
        without_self = [edges & ~np.eye(16, dtype=bool) for edges in dense_edges(topology)]
        assert not Topology.from_masks([edges.astype(int) for edges in without_self]).is_connected


@pytest.mark.parametrize("digits", [3, 4, 5])
def test_skip_butterfly_of_least_depth_freezes_its_diagonal(digits: int) -> None:
    n = 2**digits
    assert np.array_equal(frozen(butterfly(n, digits)), np.eye(n, dtype=bool))
    assert not frozen(butterfly(n, digits, skip=False)).any()
    assert not frozen(butterfly(n, digits + 1)).any()


# --- parallel butterfly -----------------------------------------------------------------------------------------------


@quick
@given(st.integers(2, 4), st.integers(1, 4), st.integers(2, 6), placements)
def test_parallel_butterfly_counts(log_n: int, p: int, d: int, constants: str) -> None:
    n = 2**log_n
    topology = parallel_butterfly(n, p, d, constants=constants)
    assert topology.widths == (n, *([p * n] * (d - 1)), n)
    assert topology.n_edges == 2 * p * d * n
    assert topology.n_trainable == p * d * n + (0 if constants == "copies" else (p - 1) * n)
    constant_fan_in = (topology.masks()[-1] == 2).sum(axis=0)
    assert (constant_fan_in == (p if constants == "copies" else 1)).all()
    assert topology.is_connected == (d >= log_n)


@quick
@given(st.integers(2, 16), st.integers(1, 4), st.integers(2, 4))
def test_parallel_butterfly_is_a_sum_of_butterflies_from_rotated_digits(n: int, p: int, d: int) -> None:
    system, digits = radices(n), coordinates(radices(n))
    masks = parallel_butterfly(n, p, d).masks()
    for copy in range(p):
        rows = slice(copy * n, (copy + 1) * n)
        for layer in range(d):
            block = masks[layer][rows if layer else slice(None), rows if layer < d - 1 else slice(None)]
            place = (copy + layer) % len(system)
            for i, j in product(range(n), repeat=2):
                differ = [k for k in range(len(system)) if digits[i][k] != digits[j][k]]
                assert block[i, j] == (2 if not differ else 1 if differ == [place] else 0)
    assert sum((mask > 0).sum() for mask in masks) == parallel_butterfly(n, p, d).n_edges
    if d > 2:  # copies meet in the inputs and outputs alone
        inner = masks[1].copy()
        for copy in range(p):
            inner[copy * n : (copy + 1) * n, copy * n : (copy + 1) * n] = 0
        assert not inner.any()


def test_parallel_butterfly_of_one_copy_is_a_butterfly() -> None:
    assert parallel_butterfly(16, 1, 5) == butterfly(16, 5) == parallel_butterfly(16, 1, 5, constants="output")


def test_parallel_butterflies_of_least_depth_fix_the_diagonal_at_their_number() -> None:
    """The trap of paper.md, section 2: p copies that each keep a constant make entry (i, i) equal p."""
    topology = parallel_butterfly(32, 4, 5)
    assert np.array_equal(frozen(topology), np.eye(32, dtype=bool))
    assert (np.diag(paths(topology, kind=2)) == 4).all()
    assert not frozen(parallel_butterfly(32, 4, 5, constants="output")).any()


@quick
@given(
    st.integers(2, 12), st.integers(2, 12), st.integers(2, 4), st.integers(2, 5), st.sampled_from(["copies", "output"])
)
def test_cropped_copies_keep_their_constants(n: int, n_out: int, p: int, d: int, constants: str) -> None:
    """And the members' count, which is made without building them, agrees."""
    topology = parallel_butterfly(n, p, d, n_out=n_out, constants=constants)
    held = (topology.masks()[-1] == 2).sum(axis=0)
    assert (held[topology.layers[-1].fan_in >= 2] >= 1).all()
    assert (held <= (p if constants == "copies" else 1)).all()
    if topology.is_connected:
        arguments = {"n": n, "p": p, "d": d, "constants": constants} | ({"n_out": n_out} if n != n_out else {})
        listed = members("parallel_butterfly", n, n_out, topology.n_trainable)
        assert [member.n_trainable for member in listed if member.arguments == arguments] == [topology.n_trainable]


# --- clos -------------------------------------------------------------------------------------------------------------


@quick
@given(sides, sides, st.data())
def test_clos_is_three_stages_of_complete_routers(n: int, n_out: int, data: st.DataObject) -> None:
    r_in, r_out = data.draw(st.integers(1, n)), data.draw(st.integers(1, n_out))
    m = data.draw(st.integers(1, 5))
    topology = clos(n, r_in, m, r_out, n_out)
    assert topology.widths == (n, r_in * m, m * r_out, n_out)
    assert topology.n_edges == m * (n + r_in * r_out + n_out)
    assert (paths(topology) == m).all()  # one path through every middle router
    first, second, third = (nx.bipartite.from_biadjacency_matrix(as_sparse(edges)) for edges in dense_edges(topology))
    ports = {}
    for stage, graph, ends in (("in", first, n), ("middle", second, r_in * m), ("out", third, m * r_out)):
        routers = [sorted(part) for part in nx.connected_components(graph)]
        for part in routers:
            left = sum(node < ends for node in part)
            assert graph.subgraph(part).number_of_edges() == left * (len(part) - left)
        ports[stage] = [(sum(node < ends for node in part), sum(node >= ends for node in part)) for part in routers]
    assert len(ports["in"]) == r_in and max(p for p, _ in ports["in"]) - min(p for p, _ in ports["in"]) <= 1
    assert len(ports["out"]) == r_out and max(q for _, q in ports["out"]) - min(q for _, q in ports["out"]) <= 1
    assert ports["middle"] == [(r_in, r_out)] * m


def as_sparse(edges: np.ndarray) -> object:
    """The matrix form that networkx reads."""
    from scipy.sparse import csr_array

    return csr_array(edges.astype(int))


def test_clos_constants_when_every_router_has_two_lines_in() -> None:
    n, r_in, m, r_out, n_out = 30, 7, 5, 8, 36
    topology = clos(n, r_in, m, r_out, n_out)
    assert topology.n_constant == m * (r_in + r_out) + n_out
    for mask in topology.masks():
        for neuron in range(mask.shape[1]):
            sources = np.flatnonzero(mask[:, neuron])
            assert np.flatnonzero(mask[:, neuron] == 2) == [sources[neuron % sources.size]]


def test_clos_with_one_middle_router_trains_its_outputs() -> None:
    assert (clos(16, 4, 1, 4).masks()[-1] != 2).all()
    assert not frozen(clos(16, 4, 1, 4)).any()


# --- random layers ----------------------------------------------------------------------------------------------------


@quick
@given(sides, sides, st.integers(1, 30), st.integers(1, 4), st.integers(0, 99), st.data())
def test_random_regular_balances_fans_and_constants(
    n_in: int, n_out: int, width: int, depth: int, seed: int, data: st.DataObject
) -> None:
    fan_in = data.draw(st.integers(1, n_in if depth == 1 else min(n_in, width)))
    topology = random_regular(n_in, n_out, width, depth, fan_in, seed)
    assert topology.widths == (n_in, *([width] * (depth - 1)), n_out)
    for layer in topology.layers:
        assert (layer.fan_in == fan_in).all()
        assert np.ptp(layer.fan_out) <= 1
        if fan_in >= 2:
            held = np.bincount(layer.sources[~layer.trainable], minlength=layer.n_in)
            assert held.sum() == layer.n_out
            assert np.ptp(held) <= 1


def test_random_regular_reaches_every_edge_and_depends_on_its_seed() -> None:
    drawn = [random_regular(8, 8, 8, 1, 3, seed) for seed in range(60)]
    assert np.logical_or.reduce([topology.masks()[0] > 0 for topology in drawn]).all()
    assert len(set(drawn)) > 50


def test_random_regular_is_as_clustered_as_a_uniform_one() -> None:
    """Sources shared by two neurons: mean f (f - 1) / (n - 1); the ring it starts from has a far greater variance."""
    n, fan_in = 32, 5
    shared = []
    for seed in range(20):
        mask = (random_regular(n, n, n, 1, fan_in, seed).masks()[0] > 0).astype(int)
        shared.append((mask.T @ mask)[np.triu_indices(n, 1)])
    mean = fan_in * (fan_in - 1) / (n - 1)
    assert np.mean(shared) == pytest.approx(mean)
    hypergeometric = mean * (1 - fan_in / n) * (n - fan_in) / (n - 1)
    assert np.var(shared) == pytest.approx(hypergeometric, rel=0.15)


@quick
@given(sides, sides, st.integers(2, 30), st.integers(1, 4), st.integers(0, 99))
def test_expander_has_equal_fan_in_only(n_in: int, n_out: int, width: int, depth: int, seed: int) -> None:
    topology = expander(n_in, n_out, width, depth, 2, seed)
    assert all((layer.fan_in == 2).all() for layer in topology.layers)
    assert topology.n_trainable == topology.n_constant


def test_expander_fan_outs_are_uneven_where_random_regular_ones_are_not() -> None:
    assert np.ptp(expander(32, 32, 32, 3, 4).layers[1].fan_out) > 1
    assert np.ptp(random_regular(32, 32, 32, 3, 4).layers[1].fan_out) == 0


@quick
@given(st.floats(0.05, 1.0), st.floats(0.05, 1.0), st.integers(0, 99))
def test_bernoulli_grows_with_density(one: float, other: float, seed: int) -> None:
    thin, thick = (bernoulli(12, 20, 16, 3, density, seed, skip=False) for density in sorted((one, other)))
    assert all((a <= b).all() for a, b in zip(thin.masks(), thick.masks(), strict=True))


def test_bernoulli_has_the_density_asked_for() -> None:
    topology = bernoulli(100, 100, 100, 3, 0.3, 7)
    assert topology.n_edges / 30_000 == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / 30_000) ** 0.5)
    assert bernoulli(10, 12, 8, 2, 1.0).n_edges == 8 * 22


def test_irregular_constants_are_spread_as_evenly_as_a_maximum_flow_can() -> None:
    """The most constants from one source equals the least limit at which a flow serves every neuron."""
    for seed in range(5):
        layer = bernoulli(10, 24, 24, 1, 0.25, seed).layers[0]
        wide = np.flatnonzero(layer.fan_in >= 2)
        held = np.bincount(layer.sources[~layer.trainable], minlength=10).max()

        def served(limit: int, layer=layer, wide=wide) -> int:  # type: ignore[no-untyped-def]
            graph = nx.DiGraph()
            graph.add_edges_from(
                (("s", source), ("t", target)) for source, target in zip(layer.sources, layer.targets, strict=True)
            )
            nx.set_edge_attributes(graph, 1, "capacity")
            graph.add_edges_from((("start", ("s", source)) for source in range(10)), capacity=limit)
            graph.add_edges_from(((("t", target), "end") for target in wide), capacity=1)
            return nx.maximum_flow_value(graph, "start", "end")

        assert served(held) == wide.size
        assert served(held - 1) < wide.size


# --- blocks -----------------------------------------------------------------------------------------------------------


@quick
@given(sides, sides, st.integers(1, 12))
def test_low_rank_counts(n_in: int, n_out: int, rank: int) -> None:
    assert low_rank(n_in, n_out, rank, skip=False).n_trainable == rank * (n_in + n_out)
    assert low_rank(n_in, n_out, rank).n_constant == rank + (n_out if rank > 1 else 0)
    assert (paths(low_rank(n_in, n_out, rank)) == rank).all()


def test_dense_is_all_trainable_unless_asked() -> None:
    assert (dense(5, 7).masks()[0] == 1).all()
    assert ((dense(5, 7, skip=True).masks()[0] == 2).sum(axis=0) == 1).all()


@quick
@given(st.integers(2, 40), st.data())
def test_monarch_is_two_block_diagonals_with_a_stride_between(n: int, data: st.DataObject) -> None:
    block = data.draw(st.integers(2, max(2, (n + 1) // 2)))
    topology = monarch(n, block)
    assert topology.is_connected and topology.depth == 2 and topology.widths[::2] == (n, n)
    if n % block == 0 and n > block:
        i, j = np.indices((n, n))
        within, across = dense_edges(topology)
        assert np.array_equal(within, i // block == j // block)
        assert np.array_equal(across, i % block == j % block)


# --- members ----------------------------------------------------------------------------------------------------------


def default_pairs(budget: int) -> set[tuple[int, int]]:
    """(p, d) of the parallel butterflies with default constants."""
    found = members("parallel_butterfly", 32, 32, budget)
    return {(m.arguments["p"], m.arguments["d"]) for m in found if m.arguments["constants"] == "copies"}


def test_parallel_butterfly_members_of_the_paper() -> None:
    assert default_pairs(640) == {(p, d) for p in range(1, 5) for d in range(5, 21) if p * d <= 20}
    assert [len(default_pairs(budget)) for budget in (640, 320, 160, 159)] == [25, 7, 1, 0]
    both = {m.expression for m in members("parallel_butterfly", 32, 32, 640)}
    assert {e for e in both if "output" in e} == {
        f"parallel_butterfly(32, {p}, {d}, constants='output')"
        for p in (2, 3, 4) for d in range(5, 11) if (p * d + p - 1) * 32 <= 640
    }  # fmt: skip


EXHAUSTIVE = {
    "butterfly": lambda n, n_out: [
        f"butterfly({n}, {depth}, {r}, n_out={n_out})" for depth in range(1, 12) for r in {2, *divisors(max(n, n_out))}
    ],
    "hypercube": lambda n, n_out: [f"hypercube({n}, {depth}, n_out={n_out})" for depth in range(1, 12)],
    "torus": lambda n, n_out: [
        f"torus({shape}, {depth}, n_in={n}, n_out={n_out})"
        for shape in factorizations(max(n, n_out)) for depth in range(1, 12)
    ],
    "radix_net": lambda n, n_out: [
        f"radix_net({shape}, {depth}, n_in={n}, n_out={n_out})"
        for shape in factorizations(max(n, n_out)) for depth in range(1, 12)
    ],
    "parallel_butterfly": lambda n, n_out: [
        f"parallel_butterfly({n}, {p}, {d}, n_out={n_out}, constants={constants!r})"
        for p in range(1, 7) for d in range(1 if p == 1 else 2, 12) for constants in ("copies", "output")
    ],
    "low_rank": lambda n, n_out: [f"low_rank({n}, {n_out}, {rank})" for rank in range(1, 30)],
    "dense": lambda n, n_out: [f"dense({n}, {n_out})"],
    "monarch": lambda n, n_out: [
        f"monarch({n}, {block}, n_out={n_out})" for block in range(2, max(2, (max(n, n_out) + 1) // 2) + 1)
    ],
}  # fmt: skip
"""Every admissible call of a family, far enough that a budget of 40 is exceeded."""


@pytest.mark.parametrize("name", EXHAUSTIVE)
@pytest.mark.parametrize(("n", "n_out"), [(8, 8), (7, 7), (6, 9), (12, 5), (2, 8), (9, 1), (1, 12)])
def test_members_are_all_that_are_connected_and_fit(name: str, n: int, n_out: int) -> None:
    """Against building everything. Equal topologies count once, whichever arguments they are listed under."""
    budget = min(max(n * n_out, 25), 40)
    built = [parse(expression) for expression in EXHAUSTIVE[name](n, n_out)]
    expected = {topology for topology in built if topology.is_connected and topology.n_trainable <= budget}
    found = members(name, n, n_out, budget)
    topologies = [member.topology() for member in found]
    assert set(topologies) == expected
    assert [member.n_trainable for member in found] == [topology.n_trainable for topology in topologies]


@pytest.mark.parametrize("name", ["butterfly", "parallel_butterfly", "hypercube", "torus", "radix_net", "monarch"])
@quick
@given(st.integers(1, 100), st.integers(1, 100), st.data())
def test_trainable_edges_of_cropped_members_are_counted_without_building(
    name: str, n_in: int, n_out: int, data: st.DataObject
) -> None:
    """Against building them."""
    assume(n_in > 1 or n_out > 1)
    lines = list(FAMILIES[name].lines(n_in, n_out, 30 * max(n_in, n_out)))
    assume(lines)
    line = data.draw(st.sampled_from(lines))
    step = data.draw(st.sampled_from(line.steps[:30] or range(line.steps.start, line.steps.start + 1)))
    topology = FAMILIES[name].build(**line.arguments(step))
    assume(topology.n_edges < 1 << 18)
    assert line.count(step) == topology.n_trainable
    assert topology.is_connected


def test_a_list_that_would_be_endless_keeps_what_is_near_the_budget() -> None:
    budget = 784 * 784 // 2
    found = members("clos", 784, 784, budget)
    assert len(found) <= MOST
    assert np.median([one.n_trainable for one in found]) > 0.9 * budget
    assert len({one.expression for one in found}) == len(found)


@pytest.mark.parametrize(("n", "n_out"), [(32, 32), (31, 31), (24, 40), (3, 2), (2, 2)])
def test_clos_members(n: int, n_out: int) -> None:
    budget = 640 if n > 20 else n * n_out
    found = members("clos", n, n_out, budget)
    assert found
    for member in found[:: max(1, len(found) // 40)]:
        topology = member.topology()
        assert topology.is_connected
        assert topology.n_trainable == member.n_trainable <= budget
    if (n, n_out) == (32, 32):
        listed = {member.expression for member in found}
        assert {"clos(32, 8, 6, 8)", "clos(32, 16, 1, 16)", "clos(32, 4, 7, 8)"} <= listed
        assert "clos(32, 8, 7, 8)" not in listed  # 752 trainable


@pytest.mark.parametrize("name", ["random_regular", "expander", "bernoulli"])
def test_random_members_use_most_of_the_budget_or_all_that_their_shape_holds(name: str) -> None:
    found = members(name, 32, 32, 900)
    assert found
    assert max(member.n_trainable for member in found) > 0.94 * 900
    if name == "random_regular":
        assert "random_regular(32, 32, 32, 5, 5)" in {m.expression for m in members(name, 32, 32, 640)}


@pytest.mark.parametrize("name", FAMILIES)
def test_signature_of_the_public_names(name: str) -> None:
    """What architecture.md promises: skip and diagonal everywhere, by name only."""
    parameters = inspect.signature(FAMILIES[name].build).parameters
    for flag in ("skip", "diagonal"):
        assert parameters[flag].kind is inspect.Parameter.KEYWORD_ONLY


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "nearest"),
    [
        ("butterfly(1, 3)", "n is 1 and n_out is 1: .* nearest is n = 2"),
        ("clos(0, 1, 1, 1)", "n is 0: .* nearest is 1"),
        ("butterfly(32, 0)", "depth is 0: .* nearest is 1"),
        ("butterfly(32, 5, radix=3)", "radix is 3, .* 32: the nearest are 2, 4"),
        ("butterfly(32, 5, radix=100)", "radix is 100, .* nearest are 16, 32"),
        ("butterfly(32, 5, n_out=0)", "n_out is 0: .* nearest is 1"),
        ("butterfly(32.0, 5)", "n is 32.0: a whole number"),
        ("butterfly(True, 5)", "n is True: a whole number"),
        ("parallel_butterfly(32, 3, 1)", "d is 1: .* nearest is d = 2, or p = 1"),
        ("parallel_butterfly(32, 0, 5)", "p is 0: .* nearest is 1"),
        ("parallel_butterfly(32, 1, 0)", "d is 0: .* nearest is 1"),
        ("parallel_butterfly(32, 2, 5, constants='copy')", "'copy': .* nearest is 'copies'"),
        ("hypercube(32, -1)", "depth is -1: .* nearest is 1"),
        ("torus((8, 1), 4)", r"shape\[1\] is 1: .* nearest is 2"),
        ("torus(32, 4)", r"shape is 32: a tuple .* such as \(8, 4\)"),
        ("torus((), 4)", r"such as \(8, 4\)"),
        ("torus((8, 4), 7, n_in=33)", r"32 neurons, not 33: the nearest is \(9, 4\)"),
        ("clos(32, 33, 2, 8)", "ingress is 33: .* nearest is 32"),
        ("clos(32, 8, 0, 8)", "middle is 0: .* nearest is 1"),
        ("clos(32, 8, 2, 41, 40)", "egress is 41: .* nearest is 40"),
        ("random_regular(32, 40, 24, 3, 30)", "fan_in is 30: .* from 1 to 24 .* nearest is 24"),
        ("expander(32, 32, 32, 1, 33)", "fan_in is 33: .* nearest is 32"),
        ("random_regular(32, 32, 32, 3, 3, -1)", "seed is -1: .* nearest is 0"),
        ("bernoulli(8, 8, 8, 2, 0)", "density is 0: a number above 0"),
        ("bernoulli(8, 8, 8, 2, 'x')", "density is 'x'"),
        ("low_rank(8, 8, 0)", "rank is 0: .* nearest is 1"),
        ("dense(8, 0)", "n_out is 0: .* nearest is 1"),
        ("monarch(32, 17)", "block is 17: .* from 2 to 16 .* nearest is 16"),
        ("radix_net((4, 4), 2, n_out=18)", r"16 neurons, not 18: the nearest is \(5, 4\)"),
    ],
)
def test_an_inadmissible_argument_names_the_nearest(expression: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=nearest) as caught:
        parse(expression)
    assert "\n" not in str(caught.value)


def test_members_refuse_bad_sizes() -> None:
    with pytest.raises(ValueError, match=r"n_in is 0: .* nearest is 1"):
        members("butterfly", 0, 8, 20)
    with pytest.raises(ValueError, match=r"a single weight cannot be thinned"):
        members("butterfly", 1, 1, 20)
    with pytest.raises(ValueError, match=r"no family 'parallel_buterfly', the nearest is 'parallel_butterfly'"):
        members("parallel_buterfly", 8, 8, 20)
