"""Layers on a GPU against the same layers on the CPU, where PyTorch has one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export.passes import move_to_device_pass

import topologies.models as tm
from topologies import SparseCascade, Topology, butterfly, clos, parallel_butterfly, random_regular
from topologies.kernel.way import WAYS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that PyTorch can use")

TOPOLOGIES = {
    "butterfly": butterfly(64, 6),
    "clos": clos(64, 8, 9, 8),
    "parallel butterfly": parallel_butterfly(64, 2, 6),
    "random regular": random_regular(48, 80, 60, 4, 3),
}


def on_gpu(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).to("cuda")


def pair(topology: Topology, way: Any, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, nn.Module, Tensor]:
    torch.manual_seed(0)
    module = SparseCascade(topology, dtype=dtype, way=way)
    return module, on_gpu(module), torch.randn(33, topology.n_in, dtype=dtype)


def first_derivatives(module: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.detach().requires_grad_()
    y = module(x)
    return [y, *torch.autograd.grad(y.square().sum(), (x, *module.parameters()), create_graph=True)]


@pytest.mark.parametrize("name", TOPOLOGIES)
@pytest.mark.parametrize("way", [None, *WAYS])
def test_numbers_and_two_derivatives_are_those_of_the_cpu(name: str, way: Any) -> None:
    here, there, x = pair(TOPOLOGIES[name], way)
    expected, found = first_derivatives(here, x), first_derivatives(there, x.cuda())
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other.cpu(), one)
    second = [
        torch.autograd.grad(sum(one.square().sum() for one in values[1:]), list(module.parameters()))
        for module, values in ((here, expected), (there, found))
    ]
    for one, other in zip(*second, strict=True):
        torch.testing.assert_close(other.cpu(), one)


@pytest.mark.parametrize("name", TOPOLOGIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_smaller_dtypes_come_close(name: str, dtype: torch.dtype) -> None:
    here, there, x = pair(TOPOLOGIES[name], None, torch.float32)
    there = there.to(dtype)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(there(x.cuda().to(dtype)).float().cpu(), here(x), rtol=32 * eps, atol=32 * eps)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        found = on_gpu(here)(x.cuda())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float().cpu(), here(x), rtol=0.02, atol=0.02)


def test_training_follows_that_of_the_cpu() -> None:
    here, there, x = pair(TOPOLOGIES["parallel butterfly"], None, torch.float32)
    goal = torch.randn(33, 64)
    losses: list[list[float]] = []
    for module, rows, wanted in ((here, x, goal), (there, x.cuda(), goal.cuda())):
        adam, found = torch.optim.AdamW(module.parameters(), 1e-2), []
        for _ in range(20):
            adam.zero_grad()
            loss = (module(rows) - wanted).square().mean()
            loss.backward()
            adam.step()
            found.append(float(loss))
        losses.append(found)
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert losses[0][-1] < losses[0][0]


def test_fold_state_and_copies() -> None:
    here, there, x = pair(TOPOLOGIES["clos"], None)
    assert isinstance(there, SparseCascade)
    torch.testing.assert_close(there.to_linear()(x.cuda()).cpu(), here(x))
    assert there.weight.is_cuda
    again = SparseCascade(TOPOLOGIES["clos"], device="cuda", dtype=torch.float64)
    again.load_state_dict(there.state_dict())
    torch.testing.assert_close(again(x.cuda()), there(x.cuda()), rtol=0, atol=0)
    torch.testing.assert_close(there.to("cpu")(x), here(x), rtol=0, atol=0)


def test_convert_and_fold_a_model_on_the_gpu() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)).to("cuda")
    sparse = tm.convert(model, tm.plan(model, density=0.3))
    x = torch.randn(5, 64, device="cuda")
    y = sparse(x)
    assert y.is_cuda and any(isinstance(one, SparseCascade) for one in sparse.modules())
    torch.testing.assert_close(tm.fold(sparse)(x), y, rtol=1e-3, atol=1e-4)


def test_compiled_and_in_a_cuda_graph() -> None:
    here, there, x = pair(TOPOLOGIES["parallel butterfly"], None, torch.float32)
    rows = x.cuda()
    torch.testing.assert_close(torch.compile(there)(rows).cpu(), here(x), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        there(rows)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            there(rows)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = there(rows)
        rows.copy_(torch.flip(rows, [0]))
        graph.replay()
        torch.testing.assert_close(y.cpu(), here(torch.flip(x, [0])), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", [None, *WAYS])
def test_a_program_that_was_moved_here_gives_the_numbers_of_the_cpu(way: Any) -> None:
    here, _, x = pair(TOPOLOGIES["clos"], way)
    program = torch.export.export(here, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    there = move_to_device_pass(program, "cuda").module()
    for one, other in zip(first_derivatives(here, x), first_derivatives(there, x.cuda()), strict=True):
        torch.testing.assert_close(other.cpu(), one)
