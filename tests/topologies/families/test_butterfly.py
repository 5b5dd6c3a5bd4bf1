"""Butterflies, hypercubes, tori and radix nets against neighbourhoods by digits, and their parallel copies."""

from __future__ import annotations

from itertools import product
from math import prod

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topologies.families.graphs import dense_edges, frozen, paths, placements, quick
from topologies import (
    Topology,
    butterfly,
    hypercube,
    monarch,
    parallel_butterfly,
    radix_net,
    torus,
)
from topologies.families import members
from topologies.families.digits import divisors, factorizations, radices


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
