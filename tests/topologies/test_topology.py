"""A topology against its dense masks, matrix products and graph search; and that nothing can change one."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch.nn.utils.prune
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from topologies import Layer, Topology, butterfly, clos, load
from topologies.layer import MAX_WIDTH
from topologies.reach import step

quick = settings(max_examples=50, deadline=None)


@st.composite
def masks(draw: st.DrawFn) -> list[np.ndarray]:
    """Masks of any density, rows and columns without an edge included."""
    widths = draw(st.lists(st.integers(1, 6), min_size=2, max_size=5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    absent = draw(st.sampled_from([0.2, 0.5, 0.8]))
    kinds = [absent, (1 - absent) * 0.6, (1 - absent) * 0.4]
    return [generator.choice(3, size=shape, p=kinds).astype(np.int8) for shape in pairwise(widths)]


def layer(sources: list[int], targets: list[int], kinds: list[bool] | None = None, n_in: int = 3) -> Layer:
    """A layer of ``n_in`` to 2 neurons, all edges trainable unless said otherwise."""
    trainable = [True] * len(sources) if kinds is None else kinds
    return Layer(n_in, 2, np.array(sources), np.array(targets), np.array(trainable))


@quick
@given(masks())
def test_masks_come_back_as_they_went_in(given_masks: list[np.ndarray]) -> None:
    topology = Topology.from_masks(given_masks)
    for mask, same in zip(given_masks, topology.masks(), strict=True):
        np.testing.assert_array_equal(mask, same)
    assert Topology.from_masks(topology.masks()) == topology


@quick
@given(masks())
def test_counts_are_those_of_the_masks(given_masks: list[np.ndarray]) -> None:
    topology = Topology.from_masks(given_masks)
    assert topology.widths == (given_masks[0].shape[0], *(mask.shape[1] for mask in given_masks))
    assert (topology.n_in, topology.n_out, topology.depth) == (
        given_masks[0].shape[0],
        given_masks[-1].shape[1],
        len(given_masks),
    )
    assert topology.n_edges == sum((mask > 0).sum() for mask in given_masks)
    assert topology.n_trainable == sum((mask == 1).sum() for mask in given_masks)
    assert topology.n_constant == sum((mask == 2).sum() for mask in given_masks)
    for one, mask in zip(topology.layers, given_masks, strict=True):
        np.testing.assert_array_equal(one.fan_in, (mask > 0).sum(axis=0))
        np.testing.assert_array_equal(one.fan_out, (mask > 0).sum(axis=1))
        assert (one.n_edges, one.n_trainable) == ((mask > 0).sum(), (mask == 1).sum())


@quick
@given(masks(), st.integers(0, 2**32))
def test_edges_may_come_in_any_order_and_are_kept_by_target_then_source(
    given_masks: list[np.ndarray], seed: int
) -> None:
    for one in Topology.from_masks(given_masks).layers:
        ends = list(zip(one.targets.tolist(), one.sources.tolist(), strict=True))
        assert ends == sorted(ends)
        order = np.random.default_rng(seed).permutation(one.n_edges)
        again = Layer(one.n_in, one.n_out, one.sources[order], one.targets[order], one.trainable[order])
        assert again == one
        assert hash(again) == hash(one)


@quick
@given(masks())
def test_reach_is_the_product_of_the_masks(given_masks: list[np.ndarray]) -> None:
    topology = Topology.from_masks(given_masks)
    paths = np.eye(topology.n_in)
    reach = np.eye(topology.n_in, dtype=bool)
    for mask, one in zip(given_masks, topology.layers, strict=True):
        paths = paths @ (mask > 0)
        reach = step(reach, one)
        np.testing.assert_array_equal(reach, paths > 0)
    assert topology.is_connected == (paths > 0).all()


@quick
@given(masks())
def test_connected_means_that_a_graph_search_from_every_input_finds_every_output(given_masks: list[np.ndarray]) -> None:
    topology = Topology.from_masks(given_masks)
    graph = nx.DiGraph()
    for place, one in enumerate(topology.layers):
        graph.add_nodes_from((place, neuron) for neuron in range(one.n_in))
        graph.add_nodes_from((place + 1, neuron) for neuron in range(one.n_out))
        edges = zip(one.sources.tolist(), one.targets.tolist(), strict=True)
        graph.add_edges_from(((place, source), (place + 1, target)) for source, target in edges)
    outputs = {(topology.depth, neuron) for neuron in range(topology.n_out)}
    assert topology.is_connected == all(
        outputs <= nx.descendants(graph, (0, neuron)) for neuron in range(topology.n_in)
    )


@pytest.mark.parametrize(
    ("sources", "targets", "words"),
    [
        ([0, 3], [0, 1], "source index 3 is out of range: this side has 3 neurons"),
        ([0, -1], [0, 1], "source index -1 is out of range"),
        ([0, 1], [0, 2], "target index 2 is out of range: this side has 2 neurons"),
        ([0, 1, 1], [0, 1, 1], "the edge 1 -> 1 is given twice"),
        ([0, 1], [0], "2 sources, 1 targets and 2 kinds"),
        ([0.0, 1.0], [0, 1], "source indices are float64, not integers"),
        ([[0, 1]], [0, 1], "source indices have 2 dimensions"),
    ],
)
def test_a_layer_refuses_edges_that_make_no_sense(sources: list[int], targets: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        layer(sources, targets, [True, True] if len(targets) < 3 else None)


@pytest.mark.parametrize("width", [0, -1, MAX_WIDTH + 1, 2.0, "3"])
def test_a_layer_has_between_one_neuron_and_very_many(width: Any) -> None:
    with pytest.raises(ValueError, match=f"n_in is {width}: a layer has between 1 and {MAX_WIDTH} neurons"):
        layer([], [], n_in=width)


def test_sizes_of_numpys_are_numbers_as_others_and_can_be_saved(tmp_path: Path) -> None:
    given = Topology((layer([0, 2], [0, 1], n_in=np.int64(3)),))  # type: ignore[arg-type]
    assert load(given.save(tmp_path / "given.safetensors")) == given == Topology((layer([0, 2], [0, 1], n_in=3),))


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.ones(3), "two dimensions"),
        (np.ones((2, 2, 2)), "two dimensions"),
        (np.array([[0, 3]]), "0 .absent., 1 .trainable. and 2 .constant. only"),
        (np.array([[0, -1]]), "0 .absent., 1 .trainable. and 2 .constant. only"),
        (np.array([[0.5, 1.0]]), "0 .absent., 1 .trainable. and 2 .constant. only"),
        (np.array([[np.nan, 1.0]]), "0 .absent., 1 .trainable. and 2 .constant. only"),
        (np.ones((0, 2)), "n_in is 0"),
    ],
)
def test_a_mask_of_other_shape_or_values_is_refused(mask: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Layer.from_mask(mask)


@quick
@given(masks(), st.sampled_from([bool, np.uint8, np.float16, np.float32, np.float64]))
def test_masks_of_any_type_and_either_way_round_are_the_same(given_masks: list[np.ndarray], dtype: type) -> None:
    typed = [(mask > 0).astype(bool) if dtype is bool else mask.astype(dtype) for mask in given_masks]
    topology = Topology.from_masks(typed)
    assert topology == Topology.from_masks([mask.astype(np.int8) for mask in typed])
    assert topology == Topology.from_masks([mask.T for mask in typed], transpose=True)
    assert topology == Topology.from_masks([torch.tensor(mask) for mask in typed])
    assert topology == Topology.from_masks({str(place): mask for place, mask in enumerate(typed)})


@quick
@given(masks(), st.sampled_from(["coo", "csr", "csc", "lil", "dok"]))
def test_sparse_masks_are_read_without_making_them_dense(given_masks: list[np.ndarray], kind: str) -> None:
    made = [sparse.coo_matrix(mask.astype(np.float32)).asformat(kind) for mask in given_masks]
    assert Topology.from_masks(made) == Topology.from_masks(given_masks)
    assert Topology.from_masks([each.T for each in made], transpose=True) == Topology.from_masks(given_masks)
    assert Layer.from_mask(sparse.coo_array(([1, 2], ([5, 0], [0, 7])), shape=(MAX_WIDTH, MAX_WIDTH))).n_edges == 2


@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_tensors_are_read_without_making_them_dense() -> None:
    mask = torch.zeros(4, 6)
    mask[0, 5], mask[3, 3] = 1, 2
    made = [mask.to_sparse(), mask.to_sparse_csr(), mask.to_sparse_csc(), mask.to_sparse_bsr((2, 2)), mask.to_sparse(1)]
    assert {Topology.from_masks([one]) for one in made} == {Topology.from_masks([mask])}
    assert Topology.from_masks([made[0].T], transpose=True) == Topology.from_masks([mask])
    wide = torch.sparse_coo_tensor([[0], [5]], [1.0], (MAX_WIDTH, MAX_WIDTH))
    assert Layer.from_mask(wide).n_edges == 1
    for other in (torch.ones(3), torch.ones(2, 2, 2)):
        with pytest.raises(ValueError, match="two dimensions"):
            Layer.from_mask(other.to_sparse())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn], ids=str)
def test_of_a_pruned_model_the_masks_of_weights_are_read(dtype: torch.dtype) -> None:
    mask = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert (
        Topology.from_masks([mask.to(dtype)]) == Topology.from_masks([mask.to_sparse()]) == Topology.from_masks([mask])
    )
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 4)).bfloat16()
    for linear in model:
        torch.nn.utils.prune.random_unstructured(linear, "weight", 0.5)
    topology = Topology.from_masks(model.state_dict(), transpose=True)
    assert topology.widths == (6, 5, 4)
    assert np.array_equal(topology.masks()[0].T, model[0].weight_mask.float())


def test_masks_that_fit_only_the_other_way_round_say_so() -> None:
    ways = [np.ones((3, 2)), np.ones((4, 3))]
    with pytest.raises(ValueError, match=r"layer 0 has 2 outputs but layer 1 4 inputs: .* \(n_in, n_out\), .*=True"):
        Topology.from_masks(ways)
    assert Topology.from_masks(ways, transpose=True).widths == (2, 3, 4)
    with pytest.raises(ValueError, match=r"\(n_out, n_in\), .*transpose=False"):
        Topology.from_masks([np.ones((2, 3)), np.ones((3, 4))], transpose=True)


@pytest.mark.parametrize("mask", [nx.path_graph(3), object(), [["1", "0"]], [[None, 1]], 1j])
def test_what_is_not_read_is_refused_in_one_line(mask: object) -> None:
    with pytest.raises(ValueError, match=r"array, a tensor or a scipy sparse matrix of numbers, not a") as caught:
        Layer.from_mask(mask)
    assert "\n" not in str(caught.value)


def test_a_graph_of_networkx_is_a_mask_by_way_of_its_matrix() -> None:
    graph = nx.DiGraph([("a", "x"), ("a", "y"), ("b", "y")])
    matrix = nx.bipartite.biadjacency_matrix(graph, ["a", "b"], ["x", "y"])
    assert np.array_equal(Layer.from_mask(matrix).mask(), [[1, 1], [0, 1]])


def test_layers_must_fit_each_other_and_there_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least one layer"):
        Topology(())
    with pytest.raises(ValueError, match="layer 1 has 4 outputs but layer 2 3 inputs"):
        Topology.from_masks([np.ones((2, 3)), np.ones((3, 4)), np.ones((3, 2))])


def test_a_topology_shares_no_memory_with_what_it_was_made_of_or_with_what_it_gives() -> None:
    mask = np.array([[1, 2], [0, 1]])
    sources, targets, trainable = np.array([0, 1]), np.array([0, 1]), np.array([True, False])
    topology = Topology.from_masks([mask])
    one = Layer(2, 2, sources, targets, trainable)
    mask[:] = 0
    sources[:], targets[:], trainable[:] = 1, 0, True
    topology.masks()[0][:] = 0
    np.testing.assert_array_equal(topology.masks()[0], [[1, 2], [0, 1]])
    np.testing.assert_array_equal(one.mask(), [[1, 0], [0, 2]])


@pytest.mark.parametrize("copied", [False, True], ids=["made", "unpickled"])
def test_nothing_can_be_changed(copied: bool) -> None:
    topology = clos(8, 2, 3, 2)
    digest, connected = topology.digest, topology.is_connected
    if copied:
        topology = pickle.loads(pickle.dumps(topology))
    for name in ("sources", "targets", "trainable"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(topology.layers[0], name)[0] = 0
        with pytest.raises(FrozenInstanceError):
            setattr(topology.layers[0], name, np.zeros(0))
    with pytest.raises(FrozenInstanceError):
        topology.layers = ()  # type: ignore[misc]
    assert (topology.digest, topology.is_connected) == (digest, connected)


def test_a_pickled_topology_is_equal_and_carries_nothing_that_was_cached() -> None:
    fresh, used = clos(8, 2, 3, 2), clos(8, 2, 3, 2)
    assert used.is_connected and used.digest and hash(used) and used.layers[0].fan_in.size
    assert pickle.dumps(used) == pickle.dumps(fresh)
    assert pickle.loads(pickle.dumps(used)) == used


def test_equal_means_the_same_edges_under_the_same_numbers() -> None:
    mask = np.array([[1, 2, 0], [0, 1, 1]])
    topology = Topology.from_masks([mask, np.ones((3, 2))])
    assert topology == Topology.from_masks([mask.copy(), np.ones((3, 2))])
    assert len({topology, Topology.from_masks([mask.copy(), np.ones((3, 2))])}) == 1
    for other in (np.where(mask == 2, 1, mask), mask[:, [1, 0, 2]], np.ones_like(mask)):
        assert topology != Topology.from_masks([other, np.ones((3, 2))])
    assert topology.layers[0] != mask.tolist()


def test_it_says_what_it_is() -> None:
    assert repr(clos(32, 8, 9, 8)) == "Topology(32-72-72-32, 976 trainable of 1152 edges)"
    ends = "-".join(["8"] * 16)
    deep = butterfly(8, 5000)
    assert repr(deep) == f"Topology({ends}-(4969 more)-{ends}, {deep.n_trainable} trainable of {deep.n_edges} edges)"
