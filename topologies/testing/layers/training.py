"""A layer in a training loop, alone and among threads, workers and processes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset

from topologies.testing.layers.layer import Layer, assert_close, gradients, ramp, values


def to_disk_and_back() -> AbstractContextManager[None]:
    """Saved tensors leave the memory of PyTorch, and come back as others."""
    return torch.autograd.graph.saved_tensors_hooks(lambda x: x.detach().numpy().copy(), torch.from_numpy)


class Answers(Dataset[Tensor]):
    """What a layer makes of each of some inputs, the gradient of the inputs beside it."""

    def __init__(self, module: nn.Module, batches: list[Tensor]) -> None:
        self.module, self.batches = module, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> list[Tensor]:
        x = self.batches[number]
        return [self.module(x).detach(), *gradients(self.module, x)]


class Training(Layer):
    """The loop itself."""

    def test_the_loss_falls(self, way: str | None) -> None:
        teacher, student = self.usual(way), self.usual(way)
        optimiser = torch.optim.Adam(student.parameters(), lr=0.03)
        x = self.inputs(student, 64)
        with torch.no_grad():
            y = teacher(x)
        losses = []
        for _ in range(200):
            loss = nn.functional.mse_loss(student(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] < 0.05 * losses[0]

    @pytest.mark.parametrize("rows", [1, 33])
    def test_saved_tensors_may_leave_or_be_computed_again(self, way: str | None, rows: int) -> None:
        module = self.usual(way)
        x = self.inputs(module, rows).requires_grad_()
        expected = gradients(module, x)
        wanted = [x, *module.parameters()]
        hooks: list[Callable[[], Any]] = [to_disk_and_back, torch.autograd.graph.save_on_cpu]
        for hook in hooks:
            with hook():
                y = module(x)
            assert_close(list(torch.autograd.grad(y, wanted, ramp(y))), expected)
        y = checkpoint(module, x, use_reentrant=False)
        assert_close(list(torch.autograd.grad(y, wanted, ramp(y))), expected)
        y = checkpoint(module, x, use_reentrant=True)
        y.backward(ramp(y))
        assert_close([tensor.grad for tensor in wanted], expected)

    def test_gradients_of_parts_add_up_to_those_of_the_whole(self, way: str | None) -> None:
        module = self.usual(way)
        x = self.inputs(module, 64)
        slope = ramp(module(x))
        module.zero_grad()
        for some in (slice(0, 1), slice(1, 8), slice(8, 64)):
            module(x[some]).backward(slope[some])
        assert_close([parameter.grad for parameter in module.parameters()], gradients(module, x, slope)[1:])


class Company(Layer):
    """Threads, forked workers, and processes that share the work."""

    @pytest.mark.parametrize("rows", [1, 7, 200])
    def test_two_threads_in_one_layer_at_once(self, way: str | None, rows: int) -> None:
        module = self.usual(way)
        torch.set_num_threads(2)
        work = Answers(module, [self.inputs(module, rows) for _ in range(8)])
        alone = [work[number] for number in range(len(work))]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # so that threads take turns within a call, even on one core
        try:
            with ThreadPoolExecutor(2) as threads:
                together = list(threads.map(work.__getitem__, list(range(len(work))) * 8))
        finally:
            sys.setswitchinterval(interval)
        assert_close(together, alone * 8)

    def test_forked_workers_of_a_data_loader(self, way: str | None) -> None:
        """A fork has the memory of the process that made it but none of its threads."""
        module = self.usual(way)
        torch.set_num_threads(2)
        work = Answers(module, [self.inputs(module, rows) for rows in (1, 2, 64, 200, 1000)])
        here = [work[number] for number in range(len(work))]
        loader = DataLoader(work, batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=60)
        assert_close(list(loader), here)
        assert_close([work[number] for number in range(len(work))], here)

    @pytest.mark.parametrize("sharded", [False, True])
    def test_one_process_of_many_trains_as_if_alone(self, way: str | None, sharded: bool, one_process: Any) -> None:
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
        from torch.distributed.fsdp import fully_shard

        alone, module = self.usual(way), self.usual(way)
        module.load_state_dict(alone.state_dict())
        before = values(alone)
        shared = fully_shard(module, mesh=one_process) if sharded else nn.parallel.DistributedDataParallel(module)
        batches = [self.inputs(alone, rows) for rows in (64, 33, 1, 7)]
        for model in (alone, shared):
            optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
            for x in batches:
                optimiser.zero_grad()
                model(x).square().mean().backward()
                optimiser.step()
        found = get_model_state_dict(shared, options=StateDictOptions(full_state_dict=True))
        for name, tensor in alone.state_dict().items():
            torch.testing.assert_close(found[name], tensor)
        assert not any(np.array_equal(before[name], tensor) for name, tensor in values(alone).items())
