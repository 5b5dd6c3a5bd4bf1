"""Any number of trainings, put into batches of equal shape that fit the device's memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise

import numpy as np
import torch

from tests.benchmarks.trained.batched import Batch
from tests.benchmarks.trained.jobs import Job, OnDevice, Trained
from tests.benchmarks.trained.rigl import Regrowth
from tests.benchmarks.trained.shapes import cut

ON_CPU = 4
"""Networks of a batch on a CPU: more leave its caches."""
MOST = 1024
"""Networks of a batch on a GPU, which is busy long before."""

Told = Callable[[str], None]


def train_all(
    jobs: Sequence[Job],
    data: OnDevice,
    keep: bool = False,
    test: bool = False,
    tell: Told = lambda line: None,
) -> list[Trained]:
    """Train every job, and return what became of them in the same order.

    Parameters
    ----------
    jobs:
        What to train; those of one :attr:`Job.kind` share batches.
    data:
        The examples.
    keep:
        Whether the trained weights are returned as well.
    test:
        Whether the test part is read; without it :attr:`Trained.test` is empty.
    tell:
        Takes a line about every batch that is begun.
    """
    done: dict[int, Trained] = {}
    kinds = [repr(job.kind) for job in jobs]
    order = sorted(range(len(jobs)), key=lambda number: (kinds[number], jobs[number].seed))
    for _, group in groupby(order, key=lambda number: kinds[number]):
        numbers = list(group)
        size = _fitting(jobs[numbers[0]], data)
        for start in range(0, len(numbers), size):
            chosen = numbers[start : start + size]
            tell(f"{len(chosen)} networks of {_told(jobs[chosen[0]])}")
            trained = _train_batch([jobs[number] for number in chosen], data, keep, test)
            done.update(zip(chosen, trained, strict=True))
    return [done[number] for number in range(len(jobs))]


def _train_batch(jobs: list[Job], data: OnDevice, keep: bool, test: bool) -> list[Trained]:
    batch = Batch(jobs, data)
    batch.train(Regrowth(batch) if jobs[0].regrown else None)
    nothing = np.zeros((len(jobs), 0), np.bool_)
    right = zip(batch.right(data.validation), batch.right(data.test) if test else nothing, strict=True)
    found = [
        Trained(job, *answers, batch.weights(number) if keep or job.regrown else ())
        for number, (job, answers) in enumerate(zip(jobs, right, strict=True))
    ]
    if data.device.type == "cuda":
        del batch
        torch.cuda.empty_cache()
    return found


def _fitting(job: Job, data: OnDevice) -> int:
    """How many networks fit into the device's memory together."""
    if data.device.type != "cuda":
        return ON_CPU
    free, _ = torch.cuda.mem_get_info(data.device)
    entries = values = 0
    for topology in job.places:
        for run in cut(topology):
            entries += sum(run.blocks * before * after for before, after in pairwise(run.sizes))
            values += run.blocks * (run.sizes[0] + 2 * run.sizes[-1]) * max(data.batch, 1000)
    parameters = sum(topology.n_trainable for topology in job.places)
    numbers = 5 * entries + 2 * values + (8 * entries if job.regrown else 12 * parameters)
    return max(1, min(MOST, int(free * 0.5 / (4 * numbers))))


def _told(job: Job) -> str:
    """A job's shape in a few words."""
    widths = " | ".join("-".join(map(str, topology.widths)) for topology in job.places)
    return f"{widths if len(widths) < 60 else widths[:57] + '...'}, {job.epochs} epochs"
