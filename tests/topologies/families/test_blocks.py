"""Clos networks, Monarch, low rank and dense against their blocks."""

from __future__ import annotations

import networkx as nx
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.topologies.families.graphs import dense_edges, frozen, paths, quick, sides
from topologies import (
    clos,
    dense,
    low_rank,
    monarch,
)


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
