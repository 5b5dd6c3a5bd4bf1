"""A launch of ``kernel.cu`` laid out in flat arrays: tables of edges, and the numbers of every problem."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.reconstruction.layout import Edges, Plan
from topologies.kernel.simd import BLOCK, LANES, TILE
from topologies.topology import Topology

_Floats = NDArray[np.float32]
_Ints = NDArray[np.int32]


class Problem(NamedTuple):
    """Independent problems on one topology; arrays as in :func:`evaluators.reconstruction.cpu.train`."""

    topology: Topology
    weights: _Floats
    targets: _Floats
    rates: NDArray[np.float64]


class Shape(NamedTuple):
    """How thread blocks train a topology: so many problems each, and ``round`` blocks of a problem at a time."""

    kernel: str
    threads: int
    shared: int
    problems: int
    round: int


class Part(NamedTuple):
    """Problems for one thread block: ``problem`` has ``members`` of candidate number ``number``, and no others."""

    number: int
    members: slice
    problem: Problem
    plan: Plan
    shape: Shape

    @property
    def problems(self) -> int:
        """How many they are."""
        return len(self.problem.targets)

    @property
    def weights(self) -> int:
        """Trainable weights of all of them."""
        return self.plan.n_slots * self.problems

    @property
    def goals(self) -> int:
        """Entries of their targets, padded to whole rounds of blocks."""
        blocks = -(-self.plan.n_blocks // self.shape.round) * self.shape.round
        return blocks * BLOCK * self.problems * int(self.plan.widths[-1])

    @property
    def scratch(self) -> int:
        """Floats that the kernel works with in device memory, a multiple of 4."""
        strands = self.problems * self.shape.round
        floats = 3 * self.weights + self.plan.n_slots * strands
        if self.shape.kernel != "train_shared":
            floats += self.weights + self.problems
        if self.shape.kernel == "train_global":
            floats += BLOCK * strands * int(self.plan.first[-1])
        return -(-floats // 4) * 4

    @property
    def memory(self) -> int:
        """Bytes of device memory, with a job and tables of its own."""
        edges = sum(int(edges.tile.size) for edges in (self.plan.from_inputs, self.plan.into, self.plan.out_of))
        tables = 2 * edges + 4 * int(self.plan.first[-1]) + self.plan.depth + 2
        return 4 * (self.scratch + self.goals + self.weights + 2 * self.problems + tables + len(Job._fields))


class Job(NamedTuple):
    """What one thread block trains: ``struct Job`` of the kernel, field for field."""

    depth: int
    neurons: int
    outputs: int
    blocks: int
    slots: int
    head_edges: int
    head_trainable: int
    problems: int
    round: int
    first: int
    head: int
    into: int
    out_of: int
    peaks: int
    goals: int
    kept: int
    lowest: int
    scratch: int


class Launch(NamedTuple):
    """Thread blocks of one size, in flight beside those of other sizes: ``jobs[start:stop]``."""

    kernel: str
    threads: int
    shared: int
    start: int
    stop: int


class Batch(NamedTuple):
    """What is on the GPU at one time; ``kept`` and ``lowest`` are changed there and come back."""

    launches: list[Launch]
    jobs: _Ints
    tables: _Ints
    given: _Floats
    kept: _Floats
    lowest: _Floats
    scratch: int
    """Number of floats."""


def pack(parts: Sequence[Part]) -> tuple[Batch, list[Job]]:
    """Lay out the work of a launch; one job a part."""
    tables: dict[int, _Tables] = {}
    pairs = 0
    for part in parts:
        if part.number not in tables:
            tables[part.number] = _tables(part.problem.topology, part.plan, pairs)
            pairs += tables[part.number].values.size // 2
    goals, kept, lowest, scratch = (
        [int(start) for start in np.cumsum([0, *sizes])]
        for sizes in zip(*((part.goals, part.weights, part.problems, part.scratch) for part in parts), strict=True)
    )
    jobs = []
    for i, part in enumerate(parts):
        table, head = tables[part.number], part.problem.topology.layers[0]
        jobs.append(
            Job(
                depth=part.plan.depth,
                neurons=int(part.plan.first[-1]),
                outputs=int(part.plan.widths[-1]),
                blocks=part.plan.n_blocks,
                slots=part.plan.n_slots,
                head_edges=head.n_edges,
                head_trainable=head.n_trainable,
                problems=part.problems,
                round=part.shape.round,
                first=table.first,
                head=table.head,
                into=table.into,
                out_of=table.out_of,
                peaks=goals[-1] + lowest[i],
                goals=goals[i] // 4,
                kept=kept[i],
                lowest=lowest[i],
                scratch=scratch[i] // 4,
            )
        )
    batch = Batch(
        _launches(parts),
        np.array(jobs, dtype=np.int32),
        np.concatenate([table.values for table in tables.values()]),
        np.concatenate([*map(_goals, parts), *(part.problem.rates for part in parts)], dtype=np.float32),
        np.concatenate([part.problem.weights.T.ravel() for part in parts], dtype=np.float32),
        np.full(lowest[-1], np.inf, dtype=np.float32),
        scratch[-1],
    )
    return batch, jobs


def _launches(parts: Sequence[Part]) -> list[Launch]:
    launches, start = [], 0
    for (kernel, threads, shared), group in groupby(parts, key=lambda part: part.shape[:3]):
        stop = start + sum(1 for _ in group)
        launches.append(Launch(kernel, threads, shared, start, stop))
        start = stop
    return launches


def _goals(part: Part) -> _Floats:
    """Targets in the order in which strands meet them, flat: round, output, half of a block, problem, block, row."""
    count, n_in, n_out = part.problem.targets.shape
    rounds = -(-part.plan.n_blocks // part.shape.round)
    padded = np.zeros((count, rounds * part.shape.round * BLOCK, n_out), dtype=np.float32)
    padded[:, :n_in] = part.problem.targets
    split = padded.reshape(count, rounds, part.shape.round, 2, BLOCK // 2, n_out)
    return split.transpose(1, 5, 3, 0, 2, 4).ravel()


class _Tables(NamedTuple):
    """A topology's tables, flat, and where they begin in the array of all: in integers for ``first``, else in pairs."""

    values: _Ints
    first: int
    head: int
    into: int
    out_of: int


def _tables(topology: Topology, plan: Plan, base: int) -> _Tables:
    """Tables that begin at pair number ``base`` of the array of all."""
    layer = np.repeat(np.arange(1, plan.depth + 1), plan.widths[1:])
    head = topology.layers[0]
    order = np.argsort(~head.trainable, kind="stable")
    sections = [
        np.stack([head.targets[order], head.sources[order]], axis=1),
        _bounds(plan.into),
        _bounds(plan.out_of),
        _ends(plan.into, plan.first[layer - 1]),
        _ends(plan.out_of, plan.first[layer + 1]),
    ]
    starts = base + np.cumsum([0, *(len(section) for section in sections)])
    sections[1] += starts[3]
    sections[2] += starts[4]
    first = np.zeros(-(-(plan.depth + 1) // 2) * 2)
    first[: plan.depth + 1] = plan.first[1:]
    values = np.concatenate([*(section.ravel() for section in sections), first], dtype=np.int32, casting="unsafe")
    return _Tables(values, 2 * int(starts[5]), *(int(start) for start in starts[:3]))


def _bounds(edges: Edges) -> NDArray[np.int64]:
    return np.stack([edges.start[:-1], edges.start[1:]], axis=1)


def _ends(edges: Edges, first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Far ends, numbered through all layers, and slots; ``first`` is where the far layer of each group begins."""
    return np.stack([edges.tile // TILE + np.repeat(first, np.diff(edges.start)), edges.lanes // LANES], axis=1)


class Device(NamedTuple):
    """What of a GPU decides how work is cut up; results do not depend on it."""

    processors: int
    threads: int
    """Threads of a thread block at most, and of a multiprocessor, given the registers that the kernel uses."""
    shared: int
    """Bytes of shared memory of a multiprocessor, and below of a thread block at most."""
    shared_of_block: int
    memory: int
    """Bytes that one launch may use."""


class Pace(NamedTuple):
    """The schedule as the kernel reads it: a step's rate and epsilon with Adam's bias corrections, and its memories."""

    rates: _Floats
    floors: _Floats
    memories: tuple[float, float, float, float]
