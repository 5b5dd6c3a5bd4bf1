"""What every layer with a topology promises; a new layer is tested by a class that inherits all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist

from topologies.testing.layers.derivatives import Derivatives
from topologies.testing.layers.numbers import Numbers
from topologies.testing.layers.precision import Precision
from topologies.testing.layers.programs import Programs
from topologies.testing.layers.training import Company, Training
from topologies.testing.layers.weights import Checkpoints, Copies, WithoutMemory


class LayerContract(Numbers, Derivatives, Precision, Checkpoints, Copies, WithoutMemory, Programs, Training, Company):
    """The whole contract: beside its dense twin a layer behaves as one of PyTorch's own."""

    @pytest.fixture(autouse=True)
    def seeded_and_on_one_thread(self) -> Iterator[None]:
        """Every test draws the same weights and inputs, and on one thread kernels keep out of each other's way."""
        torch.manual_seed(0)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)

    @pytest.fixture
    def one_process(self) -> Iterator[Any]:
        """A device mesh of this process alone."""
        if not dist.is_available():
            pytest.skip("PyTorch was built without torch.distributed")
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        try:
            yield dist.device_mesh.init_device_mesh("cpu", (1,))
        finally:
            dist.destroy_process_group()
