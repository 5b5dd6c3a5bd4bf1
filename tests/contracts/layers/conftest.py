"""Shared by the contract of every layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch.distributed as dist

from tests.topologies.models.conftest import seeded_and_on_one_thread as seeded_and_on_one_thread

pytest.register_assert_rewrite("tests.contracts.layers")


@pytest.fixture
def one_process() -> Iterator[Any]:
    """A device mesh of this process alone."""
    if not dist.is_available():
        pytest.skip("PyTorch was built without torch.distributed")
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield dist.device_mesh.init_device_mesh("cpu", (1,))
    finally:
        dist.destroy_process_group()
