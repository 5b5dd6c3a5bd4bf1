"""A wiring holds a topology, its parts included, in few bytes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.topologies.models.cascades import random_topology
from topologies import SparseCascade, Topology, butterfly, parallel_butterfly, random_regular
from topologies.kernel import parts
from topologies.kernel.wiring import Wiring


@pytest.mark.parametrize("part", [1, 4, 1024])
@pytest.mark.parametrize("seed", range(40))
def test_the_topology_comes_back(seed: int, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", part)
    topology = random_topology(seed)
    assert Wiring.of(topology).topology() == topology


def test_copies_of_a_parallel_butterfly_are_parts_of_their_own() -> None:
    topology = parallel_butterfly(512, 3, 9)
    found = Wiring.of(topology)
    assert found.edges.parts == 3
    assert found.hidden == 512 * 8
    assert found.topology() == topology


def test_neurons_that_hang_together_stay_in_one_part() -> None:
    assert Wiring.of(random_regular(2048, 2048, 2048, 5, 3, 0)).edges.parts == 1


def test_neurons_under_other_numbers_make_the_same_parts() -> None:
    topology = parallel_butterfly(512, 3, 9)
    generator = np.random.default_rng(0)
    order = [np.arange(512), *(generator.permutation(width) for width in topology.widths[1:-1]), np.arange(512)]
    masks = [mask[before][:, after] for mask, before, after in zip(topology.masks(), order, order[1:], strict=False)]
    mixed = Topology.from_masks(masks)
    assert Wiring.of(mixed).edges.parts == 3
    assert Wiring.of(mixed).topology() == mixed


def test_two_bytes_an_edge_and_two_a_neuron() -> None:
    topology = random_regular(256, 256, 256, 5, 8, 0)
    neurons = sum(topology.widths[1:])
    assert Wiring.of(topology).image.nbytes < 2 * sum(x.n_edges for x in topology.layers) + 2 * neurons + 1000


def test_layers_wider_than_two_bytes_count() -> None:
    wide = 70_000
    edges = np.stack([np.arange(wide), np.arange(wide)])
    mask = np.zeros((1, wide), np.int8)
    mask[0, edges[0]] = 1
    topology = Topology.from_masks([mask, mask.T])
    assert Wiring.of(topology).topology() == topology


def test_a_neuron_with_more_edges_than_a_byte_counts() -> None:
    topology = Topology.from_masks([np.ones((300, 2), np.int8)])
    assert Wiring.of(topology).topology() == topology


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_are_equal(copied) -> None:  # type: ignore[no-untyped-def]
    found = Wiring.of(butterfly(64, 6))
    assert copied(found).image.equal(found.image)
    assert copied(found).topology() == found.topology()


def test_layers_of_equal_topologies_share_their_wiring() -> None:
    topology = butterfly(16, 4)
    first, second = SparseCascade(topology), SparseCascade(butterfly(16, 4))
    assert first._wiring.image.data_ptr() == second._wiring.image.data_ptr()
    assert second.topology == topology


class OnGpu(Tensor):
    """A tensor that gives its numbers as one on a GPU does: only after it was brought to the CPU."""

    def numpy(self, *, force: bool = False) -> NDArray[Any]:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def cpu(self, memory_format: torch.memory_format = torch.preserve_format) -> Tensor:
        return self.as_subclass(Tensor).clone()


def test_a_wiring_that_was_moved_with_its_program_is_read_there() -> None:
    topology = butterfly(8, 3)
    assert Wiring.read(Wiring.of(topology).image.as_subclass(OnGpu)).topology() == topology
