"""The compiled kernels and the blocks beside the plain way, on random topologies."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.topologies.models.cascades import random_topology
from topologies import Topology, butterfly, clos, low_rank, monarch, parallel_butterfly, random_regular
from topologies.kernel import blocks, fused, one_row, parts, plain
from topologies.kernel.plain import Edges
from topologies.kernel.wiring import Wiring

pytestmark = pytest.mark.kernel

LARGER = {
    "butterfly": butterfly(64, 6),
    "clos": clos(48, 8, 9, 8),
    "parts": parallel_butterfly(32, 3, 5),
    "wide": random_regular(40, 24, 100, 4, 7, 0),
    "many edges into one neuron": Topology.from_masks([np.ones((300, 3), np.int8)]),
}


def _expected(topology: Topology, x: torch.Tensor, weight: torch.Tensor, wanted: torch.Tensor) -> list[torch.Tensor]:
    """Outputs and both gradients, in doubles."""
    x, weight = x.double().requires_grad_(), weight.double().requires_grad_()
    y = plain.multiply(x, weight, Edges.of(topology, torch.device("cpu")))
    return [y.detach(), *torch.autograd.grad(y, (x, weight), wanted.double())]


def _compare(kernel: ModuleType, topology: Topology, rows: int, seed: int) -> None:
    torch.manual_seed(seed)
    x, wanted = torch.randn(rows, topology.n_in), torch.randn(rows, topology.n_out)
    weight, bias = torch.randn(topology.n_trainable), torch.randn(topology.n_out)
    wired = Wiring.of(topology)
    y = kernel.forward(wired, x.numpy(), weight.numpy(), bias.numpy())
    found = (y - bias.numpy(), *kernel.backward(wired, x.numpy(), weight.numpy(), wanted.numpy()))
    for one, expected in zip(found, _expected(topology, x, weight, wanted), strict=True):
        scale = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
        np.testing.assert_allclose(one / scale, expected.numpy() / scale, atol=2e-6)


@pytest.mark.parametrize("part", [1, 4096])
@pytest.mark.parametrize("rows", [0, 1, 7, 8, 17, 33, 64, 200])
@pytest.mark.parametrize("seed", range(8))
def test_fused_on_random_topologies(seed: int, rows: int, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", part)
    _compare(fused, random_topology(seed), rows, seed)


@pytest.mark.parametrize("part", [1, 4096])
@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("seed", range(8))
def test_one_row_on_random_topologies(seed: int, rows: int, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", part)
    _compare(one_row, random_topology(seed), rows, seed)


@pytest.mark.parametrize("part", [32, 4096])
@pytest.mark.parametrize("name", LARGER)
def test_larger_topologies(name: str, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", part)
    _compare(fused, LARGER[name], 300, 0)
    _compare(one_row, LARGER[name], 1, 0)


@pytest.mark.parametrize("columns", [1, 5, 16, 49, 64, 100])
def test_images_are_rows_in_another_order(columns: int) -> None:
    """Convolutions have features before columns."""
    topology = LARGER["wide"]
    torch.manual_seed(columns)
    wired, weight = Wiring.of(topology), torch.randn(topology.n_trainable).numpy()
    images, wanted = torch.randn(3, topology.n_in, columns), torch.randn(3, topology.n_out, columns)
    bias = torch.randn(topology.n_out).numpy()

    def rows(values: torch.Tensor) -> NDArray[np.float32]:
        return values.transpose(1, 2).reshape(3 * columns, -1).numpy()

    y = torch.from_numpy(fused.forward(wired, images.numpy(), weight, bias))
    np.testing.assert_allclose(rows(y), fused.forward(wired, rows(images), weight, bias), atol=1e-5)
    leaving, gradient = fused.backward(wired, images.numpy(), weight, wanted.numpy())
    of_rows, gradient_of_rows = fused.backward(wired, rows(images), weight, rows(wanted))
    np.testing.assert_allclose(rows(torch.from_numpy(leaving)), of_rows, atol=1e-4)
    np.testing.assert_allclose(gradient, gradient_of_rows, atol=1e-3)


@pytest.mark.parametrize("rows", [100, 1000, 5000])
def test_the_same_bits_on_any_number_of_threads(rows: int) -> None:
    topology = LARGER["parts"]
    torch.manual_seed(0)
    x, wanted = torch.randn(rows, topology.n_in).numpy(), torch.randn(rows, topology.n_out).numpy()
    wired, weight = Wiring.of(topology), torch.randn(topology.n_trainable).numpy()
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            y = fused.forward(wired, x, weight, np.zeros(topology.n_out, np.float32))
            found.append([y.tobytes(), *(one.tobytes() for one in fused.backward(wired, x, weight, wanted))])
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1] == found[2]


BLOCKS = {
    "clos": clos(48, 8, 9, 8),
    "monarch": monarch(64, 8),
    "butterfly": butterfly(64, 6),
    "low rank": low_rank(30, 20, 4),
    "with constants": parallel_butterfly(32, 2, 5),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_multiply_as_the_layers_do(name: str) -> None:
    topology = BLOCKS[name]
    cut = blocks.runs(topology)
    assert cut is not None
    torch.manual_seed(0)
    x, weight, wanted = torch.randn(5, topology.n_in), torch.randn(topology.n_trainable), torch.randn(5, topology.n_out)
    expected = _expected(topology, x, weight, wanted)
    x, weight = x.double().requires_grad_(), weight.double().requires_grad_()
    y = blocks.multiply(x, weight, cut)
    for found, right in zip((y, *torch.autograd.grad(y, (x, weight), wanted.double())), expected, strict=True):
        torch.testing.assert_close(found.detach(), right)


def test_a_butterfly_is_cut_where_blocks_stay_small() -> None:
    cut = blocks.runs(butterfly(1024, 10))
    assert cut is not None
    assert sum(run.blocks * run.sizes[0] * run.sizes[-1] for run in cut) < 1024 * 64


def test_layers_without_equal_blocks_have_no_cut() -> None:
    mask = np.zeros((4, 4), np.int8)
    mask[0, :2] = mask[1:, 2:] = 1
    assert blocks.runs(Topology.from_masks([mask])) is None
