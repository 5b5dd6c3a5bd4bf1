"""Who evaluates: what a search computes on, chosen once before it begins."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from evaluators import MatrixReconstruction
from evaluators.reconstruction import gpu_driver
from evaluators.task import Score, Task
from evo.settings import ClusterSettings
from evo.storage.pools import open_pool


@pytest.mark.ray
@pytest.mark.skipif(gpu_driver.available(), reason="there is a GPU that works")
def test_gpus_that_cannot_be_used_are_named_and_left_alone(local_ray: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), open_pool(ClusterSettings(workers=1), MatrixReconstruction()) as opened:
        pool, backend = opened
        assert (pool.size, backend) == (1, "cpu")
    (said,) = (record.getMessage() for record in caplog.records if "GPU" in record.getMessage())
    assert said.startswith("the cluster's GPUs are not used: ") and "\n" not in said


class Astray(MatrixReconstruction):
    """Its GPU is wrong in the last bit."""

    def on_gpu(self) -> Astray:  # type: ignore[override]
        """The same."""
        return self

    def evaluate_many(self, tasks: Sequence[Task]) -> list[Score]:
        """The scores of the CPU, or nearly."""
        scores = [self.evaluate(task.topology, task.fidelity, task.split, task.seed) for task in tasks]
        first, *others = scores[1].errors
        return [scores[0], Score((first * (1 + 2**-52), *others), scores[1].rate), *scores[2:]]


def test_a_gpu_with_other_bits_is_not_good_enough() -> None:
    assert Astray().gpu_trouble() == "it does not score a shallow topology as the CPU does"
