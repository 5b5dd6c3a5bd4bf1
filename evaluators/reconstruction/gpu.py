"""Matrix reconstruction on a GPU: a whole population in one go, with the bits of the CPU kernel.

The kernel, ``kernel.cu``, repeats the operations of :mod:`evaluators.reconstruction.cpu` in the same order with the
same roundings, so that a cluster of both kinds of machines gives one result. This module decides how many problems a
thread block trains, and lays out tables and numbers for it; :mod:`evaluators.reconstruction.gpu_driver` compiles and
launches. Candidates of any shapes are in flight together, and the host does nothing until all are done.

Device memory of one problem in flight, in bytes: 16 for every trainable edge, 4 more for every trainable edge and
block in flight (of 8 inputs; at most 8 blocks), and ``4 * n_in * n_out`` for its target; the problems of a candidate
share 16 for every edge. Shared memory of a multiprocessor: 32 for every neuron after the inputs and block in flight,
and 4 for every trainable edge. Weights, then values that do not fit there are in device memory, and slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from evaluators.reconstruction.gpu_layout import Batch, Device, Pace, Part, Problem, Shape, pack
from evaluators.reconstruction.layout import Plan, plan
from evaluators.reconstruction.schedule import EPSILON, Schedule
from topologies.kernel.simd import BLOCK

_Floats = NDArray[np.float32]
_Result = tuple[NDArray[np.float64], _Floats]

_MOST = 8
"""Problems of a thread block, and blocks of each in flight, at most."""
_RESERVED = 1024
"""Bytes of shared memory that the system keeps for itself in every thread block."""
_LATENCY, _CYCLES, _CONFLICTS, _WEIGHTS = 300, 36, 12, 2
"""Cycles of a phase: latency; use of shared memory by a warp; more of it where banks conflict, or for weights that are
elsewhere. Counted from the compiled kernel at fan-in 2, not measured."""


def train_many(problems: Sequence[Problem], schedule: Schedule) -> list[_Result]:
    """Train all problems together; one result each, the same as :func:`evaluators.reconstruction.cpu.train` gives.

    Raises
    ------
    BrokenDeviceError
        When there is no GPU that can be used, see :func:`evaluators.reconstruction.gpu_driver.available`.
    """
    from evaluators.reconstruction.gpu_driver import describe, run

    return train_on(describe(), run, problems, schedule)


def train_on(
    device: Device, run: Callable[[Batch, Pace], None], problems: Sequence[Problem], schedule: Schedule
) -> list[_Result]:
    """The same on a given device, where ``run`` runs the kernel."""
    results = [(np.full(len(p.targets), np.inf), np.array(p.weights, dtype=np.float32)) for p in problems]
    pace = pace_of(schedule)
    for parts in _batches(_parts(problems, device), device.memory):
        batch, jobs = pack(parts)
        run(batch, pace)
        for part, job in zip(parts, jobs, strict=True):
            losses, kept = results[part.number]
            losses[part.members] = batch.lowest[job.lowest :][: job.problems]
            by_slot = batch.kept[job.kept :][: job.slots * job.problems].reshape(job.slots, job.problems)
            kept[part.members] = by_slot.T
    return results


def pace_of(schedule: Schedule) -> Pace:
    """Bias corrections are made in float64 and rounded once, as on the CPU."""
    rates, floors = [], []
    decay_1, decay_2 = 1.0, 1.0
    for rate in schedule.rates:
        decay_1 *= schedule.beta_1
        decay_2 *= schedule.beta_2
        correction = float(np.sqrt(1 - decay_2))
        rates.append(float(rate) * correction / (1 - decay_1))
        floors.append(EPSILON * correction)
    memories = (schedule.beta_1, 1 - schedule.beta_1, schedule.beta_2, 1 - schedule.beta_2)
    return Pace(np.array(rates, dtype=np.float32), np.array(floors, dtype=np.float32), memories)


def shape_of(plan: Plan, device: Device, most: int) -> Shape:
    """The shape of the greatest throughput, by a rough model, with at most ``most`` problems a thread block.

    A phase (a layer, forward or backward) takes a thread block some latency, and each of its warps some cycles of the
    multiprocessor's one path to shared memory; other thread blocks use that path meanwhile. Strands in fours
    read without bank conflicts. Values are in device memory only where one block of one problem does not fit.
    """
    widest, neurons = int(plan.widths[1:].max()), int(plan.first[-1])
    found: list[tuple[float, Shape]] = []
    for problems, blocks in product(range(1, most + 1), range(1, min(plan.n_blocks, _MOST) + 1)):
        strands = problems * blocks
        if strands > device.threads:
            continue
        threads = min(device.threads, -(-widest * strands // 32) * 32)
        squares = 4 * BLOCK * problems * plan.n_blocks
        values, weights = 4 * BLOCK * neurons * strands, 4 * (plan.n_slots + 1) * problems
        used = min(threads, widest * strands) * plan.n_blocks / (-(-plan.n_blocks // blocks) * blocks)
        for kernel, shared in (("train_shared", squares + values + weights), ("train_shared_values", squares + values)):
            if shared <= device.shared_of_block:
                resident = min(device.shared // (shared + _RESERVED), device.threads // threads)
                cycles = _CYCLES + _CONFLICTS * (strands % 4 != 0) + _WEIGHTS * (kernel != "train_shared")
                phase = max(_LATENCY + cycles * threads / 32, resident * cycles * threads / 32)
                found.append((resident * used / phase, Shape(kernel, threads, shared, problems, blocks)))
    if found:
        return max(found)[1]
    blocks = max(1, min(plan.n_blocks, device.threads // widest, _MOST))
    return Shape("train_global", device.threads, 4 * BLOCK * plan.n_blocks, 1, blocks)


def _parts(problems: Sequence[Problem], device: Device) -> list[Part]:
    """The work of every thread block, the longest first; at least two a multiprocessor if there are enough problems."""
    most = min(_MOST, sum(len(p.targets) for p in problems) // (2 * device.processors))
    parts = []
    for number, problem in enumerate(problems):
        arranged, count = plan(problem.topology), len(problem.targets)
        shape = shape_of(arranged, device, max(1, min(most, count)))
        for start in range(0, count, shape.problems):
            members = slice(start, start + shape.problems)
            some = Problem(problem.topology, problem.weights[members], problem.targets[members], problem.rates[members])
            parts.append(Part(number, members, some, arranged, shape))
    return sorted(parts, key=lambda part: -part.plan.into.tile.size * part.plan.n_blocks * part.shape.problems)


def _batches(parts: list[Part], memory: int) -> Iterator[list[Part]]:
    """Parts in turn, as many at a time as fit; each by shape, in the order in which shapes first appear."""
    while parts:
        sizes = np.cumsum([part.memory for part in parts])
        fitting = max(1, int(np.searchsorted(sizes, memory, side="right")))
        batch, parts = parts[:fitting], parts[fitting:]
        sizes_of_blocks = list(dict.fromkeys(part.shape[:3] for part in batch))
        yield sorted(batch, key=lambda part: sizes_of_blocks.index(part.shape[:3]))
