"""The CUDA kernel, run on a CPU, against the CPU kernel: bit for bit, however the work is cut up."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.reconstruction import cpu, gpu, gpu_driver
from evaluators.reconstruction.evaluator import MatrixReconstruction
from evaluators.reconstruction.gpu import train_many, train_on
from evaluators.reconstruction.gpu_layout import Batch, Device, Pace, Problem
from evaluators.reconstruction.schedule import one_cycle
from evaluators.run import canary, proof
from evaluators.run import run as evaluate
from evaluators.task import BatchEvaluator, Fidelity, Race, Split, Task
from tests.evaluators.random_topologies import topologies
from tests.evaluators.reconstruction import cuda_on_cpu
from topologies import Topology, butterfly, clos, dense, low_rank, parallel_butterfly, random_regular

pytestmark = pytest.mark.kernel

Run = Callable[[Batch, Pace], None]
PLENTY = 2**40

DEVICES = {
    "one thread": Device(processors=1, threads=1, shared=2**20, shared_of_block=2**19, memory=PLENTY),
    "many threads": Device(processors=1, threads=64, shared=2**17, shared_of_block=2**16, memory=PLENTY),
    "an odd number of threads": Device(processors=1, threads=37, shared=2**17, shared_of_block=2**16, memory=PLENTY),
    "little shared memory": Device(processors=1, threads=16, shared=4096, shared_of_block=3072, memory=PLENTY),
    "hardly any": Device(processors=1, threads=16, shared=1500, shared_of_block=400, memory=PLENTY),
    "little memory": Device(processors=1, threads=8, shared=2**17, shared_of_block=2**16, memory=20_000),
}


@pytest.fixture(scope="session")
def on_cpu(tmp_path_factory: pytest.TempPathFactory) -> Run:
    if not cuda_on_cpu.COMPILER:
        pytest.skip("no g++ to compile the CUDA kernel for the CPU")
    return cuda_on_cpu.build(tmp_path_factory.mktemp("cuda_on_cpu"))


def problem(topology: Topology, count: int, seed: int = 0) -> Problem:
    generator = np.random.default_rng(seed)
    weights = generator.normal(0, 0.5, (count, topology.n_trainable)).astype(np.float32)
    targets = generator.standard_normal((count, topology.n_in, topology.n_out)).astype(np.float32)
    return Problem(topology, weights, targets, generator.uniform(0.01, 0.1, count))


def assert_same(run: Run, device: Device, problems: list[Problem], steps: int) -> None:
    """The kernel's losses and weights are the CPU kernel's."""
    schedule = one_cycle(steps)
    for asked, (losses, kept) in zip(problems, train_on(device, run, problems, schedule), strict=True):
        expected, expected_kept = cpu.train(*asked, schedule)
        np.testing.assert_array_equal(losses, expected)
        np.testing.assert_array_equal(kept, expected_kept)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(topologies(most_neurons=19), st.integers(1, 9)), min_size=1, max_size=3),
    st.sampled_from([DEVICES["one thread"], DEVICES["one thread"]._replace(shared_of_block=0)]),
    st.integers(1, 7),
)
def test_gives_the_bits_of_the_cpu_kernel(
    on_cpu: Run, candidates: list[tuple[Topology, int]], device: Device, steps: int
) -> None:
    assert_same(on_cpu, device, [problem(topology, count) for topology, count in candidates], steps)


MIXED = [
    problem(butterfly(16, 5), 3),
    problem(clos(12, 4, 3, 4, 20), 9),
    problem(low_rank(37, 7, 3), 2),
    problem(dense(9, 9), 4),
    problem(parallel_butterfly(8, 2, 4, diagonal=True), 5),
    problem(Topology.from_masks([np.full((6, 6), 2), np.full((6, 4), 2)]), 2),
    problem(Topology.from_masks([np.random.default_rng(0).integers(0, 3, shape) for shape in [(33, 5), (5, 40)]]), 3),
    problem(Topology.from_masks([[[1]]]), 1),
]
"""Deep and flat, wide and narrow, rectangular, one layer, a diagonal layer, constants only, many blocks, one edge."""


@pytest.mark.parametrize("name", DEVICES)
def test_gives_the_same_bits_however_the_work_is_cut_up(on_cpu: Run, name: str) -> None:
    assert_same(on_cpu, DEVICES[name], MIXED, 4)


def test_these_devices_cut_the_work_up_in_every_way() -> None:
    seen = set[tuple[str, bool]]()
    for device in DEVICES.values():
        for batch in batches(device):
            seen.update((launch.kernel, launch.threads > 1) for launch in batch.launches)
    assert seen >= {(kernel, True) for kernel in cuda_on_cpu.KERNELS} | {("train_shared", False)}


def test_a_launch_keeps_to_the_memory_it_may_use() -> None:
    found = batches(DEVICES["little memory"])
    assert len(found) > 2
    for batch in found:
        used = sum(array.nbytes for array in batch[1:6]) + 4 * batch.scratch
        assert used <= DEVICES["little memory"].memory or len(batch.jobs) == 1


def batches(device: Device) -> list[Batch]:
    seen: list[Batch] = []
    train_on(device, lambda batch, pace: seen.append(batch), MIXED, one_cycle(1))
    return seen


def test_order_and_company_change_nothing(on_cpu: Run) -> None:
    device, schedule = DEVICES["many threads"], one_cycle(3)
    forward = train_on(device, on_cpu, MIXED, schedule)
    backward = train_on(device, on_cpu, MIXED[::-1], schedule)[::-1]
    alone = [train_on(device, on_cpu, [asked], schedule)[0] for asked in MIXED]
    for (losses, kept), *others in zip(forward, backward, alone, strict=True):
        for other_losses, other_kept in others:
            assert np.array_equal(losses, other_losses)
            assert np.array_equal(kept, other_kept)


def test_the_evaluator_on_a_gpu_scores_batches_and_races_as_on_the_cpu(
    on_cpu: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = gpu.train_on
    device = DEVICES["one thread"]
    monkeypatch.setattr(gpu, "train_many", lambda *asked: train(device, on_cpu, *asked))
    fidelity, other = Fidelity(3, 4, (0.1, 0.4)), Fidelity(2, 7, (0.3,))
    shapes = [butterfly(8, 3), clos(9, 3, 2, 3), low_rank(8, 6, 2), butterfly(8, 3), random_regular(5, 7, 6, 3, 2, 1)]
    tasks = [
        Task(
            number=n,
            topology=topology,
            fidelity=other if n == 2 else fidelity,
            split=Split.SEARCH,
            seed=1,
            race=Race(None if n % 2 else -1.0, 5),
        )
        for n, topology in enumerate(shapes)
    ]
    on_gpu, cpu = MatrixReconstruction().on_gpu(), MatrixReconstruction()
    assert isinstance(on_gpu, BatchEvaluator) and not isinstance(cpu, BatchEvaluator)
    found, expected = (evaluate(judge, tasks, "") for judge in (on_gpu, cpu))
    assert [one.answer for one in found] == [one.answer for one in expected]
    assert [len(one.answer.score.errors) for one in found if one.answer.score] == [3, 5, 2, 5, 3]
    assert canary(on_gpu, proof(9, 7)) == canary(cpu, proof(9, 7))


def test_a_problem_that_diverges_leaves_the_others_alone(on_cpu: Run) -> None:
    asked = problem(butterfly(16, 12), 8)
    asked.rates[3], asked.rates[4] = 1e6, np.inf
    asked.weights[5], asked.targets[6, 2, 3] = np.nan, np.inf
    for device in (DEVICES["one thread"], DEVICES["many threads"]):
        assert_same(on_cpu, device, [asked], 12)


def test_what_was_handed_in_stays_as_it_was(on_cpu: Run) -> None:
    asked = problem(butterfly(8, 3), 4)
    before = [array.copy() for array in asked[1:]]
    train_on(DEVICES["one thread"], on_cpu, [asked], one_cycle(5))
    for array, copy in zip(asked[1:], before, strict=True):
        assert np.array_equal(array, copy)


def test_nothing_asked_gives_nothing(on_cpu: Run) -> None:
    assert train_on(DEVICES["one thread"], on_cpu, [], one_cycle(5)) == []
    losses, kept = train_on(DEVICES["one thread"], on_cpu, [problem(butterfly(8, 3), 0)], one_cycle(5))[0]
    assert losses.shape == (0,)
    assert kept.shape == (0, butterfly(8, 3).n_trainable)


@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"])
def test_compiles_without_a_gpu(architecture: str) -> None:
    pytest.importorskip("cuda.bindings", reason="the extra gpu is not installed")
    assert gpu_driver.compiled(architecture).startswith(b"\x7fELF")


@pytest.mark.skipif(gpu_driver.available(), reason="there is a GPU")
def test_says_in_one_line_why_there_is_no_gpu() -> None:
    reason = "no GPU answers" if importlib.util.find_spec("cuda") else "evofabric.gpu"
    with pytest.raises(RuntimeError, match=reason) as caught:
        train_many(MIXED, one_cycle(1))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not gpu_driver.available(), reason="no GPU")
def test_the_gpu_gives_the_bits_of_the_cpu_kernel() -> None:
    schedule = one_cycle(50)
    large = [problem(butterfly(256, 8), 3), problem(butterfly(1024, 10), 1), problem(dense(300, 200), 2)]
    for asked, (losses, kept) in zip(MIXED + large, train_many(MIXED + large, schedule), strict=True):
        expected, expected_kept = cpu.train(*asked, schedule)
        np.testing.assert_array_equal(losses, expected)
        np.testing.assert_array_equal(kept, expected_kept)
