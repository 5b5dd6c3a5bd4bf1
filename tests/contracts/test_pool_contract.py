"""The contract of pools, kept by ours and by those that tests make do with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.in_process import InProcessPool
from cluster.pool import Pool
from cluster.testing import FINE, Faulty, PoolContract, tasks
from evaluators.task import Evaluator
from tests.cluster.simulated import SimulatedPool
from tests.fakes import ShufflingPool


class TestInProcess(PoolContract):
    @classmethod
    def make(cls, evaluator: Evaluator) -> Pool:
        return InProcessPool(evaluator)


class TestShuffling(PoolContract):
    @classmethod
    def make(cls, evaluator: Evaluator) -> Pool:
        return ShufflingPool(evaluator)


class TestSimulated(PoolContract):
    @classmethod
    def make(cls, evaluator: Evaluator) -> Pool:
        return SimulatedPool(evaluator)


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
class TestRay(PoolContract):
    @classmethod
    def make(cls, evaluator: Evaluator) -> Pool:
        from cluster.ray_pool import RayPool

        return RayPool(evaluator, workers=2)


@pytest.mark.parametrize("make", [InProcessPool, ShufflingPool, SimulatedPool])
def test_a_closed_pool_has_dropped_its_tasks(make: Callable[[Evaluator], Pool], tmp_path: Path) -> None:
    pool = make(Faulty(tmp_path))
    pool.submit(tasks(FINE, FINE))
    pool.close()
    assert pool.in_flight == 0 and pool.wait() == []
