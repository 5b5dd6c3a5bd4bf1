"""The greatest flow through limited neurons, against networkx."""

from __future__ import annotations

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluators.random_topologies import topologies
from topologies import Topology
from topologies.flow import greatest_flow


@settings(max_examples=50, deadline=None)
@given(topologies(5), st.integers(0, 2**32 - 1))
def test_as_much_as_networkx_finds_and_a_flow_indeed(topology: Topology, seed: int) -> None:
    draw = np.random.default_rng(seed)
    entering, room = ([draw.integers(0, 4, width) for width in topology.widths] for _ in range(2))
    graph = nx.DiGraph()
    graph.add_nodes_from(("begin", "end"))
    for place, (may_enter, may_pass) in enumerate(zip(entering, room, strict=True)):
        for neuron in range(len(may_enter)):
            graph.add_edge("begin", (place, neuron, "in"), capacity=int(may_enter[neuron]))
            graph.add_edge((place, neuron, "in"), (place, neuron, "out"), capacity=int(may_pass[neuron]))
    for place, layer in enumerate(topology.layers):
        for source, target in zip(layer.sources.tolist(), layer.targets.tolist(), strict=True):
            graph.add_edge((place, source, "out"), (place + 1, target, "in"))
    graph.add_edges_from(((topology.depth, neuron, "out"), "end") for neuron in range(topology.n_out))
    flow = greatest_flow(topology.layers, entering, room)
    assert flow.value == nx.maximum_flow_value(graph, "begin", "end")

    n = sum(topology.widths)
    along = np.maximum(flow.along.toarray(), 0)
    assert (along[2 * n, :n] <= np.concatenate(entering)).all()
    assert (np.diagonal(along[:n, n : 2 * n]) <= np.concatenate(room)).all()
    assert (along.sum(axis=0)[: 2 * n] == along.sum(axis=1)[: 2 * n]).all()
    assert along[:, 2 * n + 1].sum() == flow.value
