"""``python -m tests.evaluators.reconstruction.gpu_stories NAME``: one of the things that may happen with a GPU.

The driver is the stand-in ``driver_on_cpu.cpp``, which says what was left behind and fails when it is asked to.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryDirectory

import numpy as np

from cluster.ray_session import session
from evaluators.reconstruction import cpu, gpu_driver
from evaluators.reconstruction.evaluator import MatrixReconstruction, problem_of
from evaluators.reconstruction.gpu import train_many, train_on
from evaluators.reconstruction.gpu_layout import Batch, Launch, Pace, Problem
from evaluators.reconstruction.schedule import one_cycle
from evaluators.run import run as evaluate
from evaluators.task import BrokenDeviceError, Fidelity, Outcome, Split, Task
from evo.experiment.search import search
from evo.storage.records import RunEvent, RunOpened, ScoreRecord, TableRecord
from tests.evaluators.reconstruction.cuda_on_cpu import KERNELS
from tests.fakes import recipe
from topologies import Topology, butterfly, clos, dense, low_rank

SCHEDULE = one_cycle(2)
SOME = [(butterfly(16, 5), 3), (clos(12, 4, 3, 4, 20), 9), (low_rank(37, 7, 3), 2), (dense(9, 9), 4)]
CONSTANT = [(Topology.from_masks([np.full((6, 6), 2), np.full((6, 4), 2)]), 2)]
"""No weight to train: arrays of which nothing is on the GPU."""
LARGE = [(dense(160, 90), 1), (dense(60, 60), 8), (butterfly(512, 4), 1)]
"""More shared memory than a kernel has unasked; weights, then also values that are in device memory."""
UNASKED = 48 * 1024

driver = ctypes.CDLL("libcuda.so.1")


def gives_the_bits_of_the_cpu_kernel() -> None:
    launches: list[Launch] = []

    def watched(batch: Batch, pace: Pace) -> None:
        launches.extend(batch.launches)
        gpu_driver.run(batch, pace)

    assert_same_bits(SOME + LARGE, lambda *asked: train_on(gpu_driver.describe(), watched, *asked))
    assert {launch.kernel for launch in launches} == set(KERNELS)
    assert len(launches) > len(KERNELS) and max(launch.stop - launch.start for launch in launches) > 1
    assert max(launch.shared for launch in launches) > UNASKED
    assert_same_bits(CONSTANT)


def can_be_used_from_any_thread() -> None:
    assert_same_bits(SOME)
    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(assert_same_bits, SOME) for _ in range(4)]:
            done.result()


def needs_no_default_stream_that_others_wait_for() -> None:
    os.environ["CUDA_PYTHON_CUDA_PER_THREAD_DEFAULT_STREAM"] = "1"  # of the bindings, read when they are first used
    assert_same_bits(SOME)


def cuts_up_what_does_not_fit_at_once() -> None:
    assert_same_bits(SOME)
    at_once = driver.driver_launches()
    os.environ["DRIVER_MEMORY"] = "40000"
    assert_same_bits(SOME)
    assert driver.driver_launches() > 2 * at_once


def says_when_memory_is_gone_and_goes_on_when_it_is_back() -> None:
    device, problems = gpu_driver.describe(), problems_of(SOME)
    os.environ["DRIVER_MEMORY"] = "40000"  # others took the rest
    fails(MemoryError, lambda: train_on(device, gpu_driver.run, problems, SCHEDULE), "OUT_OF_MEMORY")
    del os.environ["DRIVER_MEMORY"]
    assert_same_bits(SOME)


def passes_on_that_a_launch_failed() -> None:
    problems = problems_of(SOME)
    os.environ["DRIVER_FAILS"] = "cuLaunchKernel=701"
    fails(BrokenDeviceError, lambda: train_many(problems, SCHEDULE), "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES")
    fails(BrokenDeviceError, evaluate_some, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES")
    del os.environ["DRIVER_FAILS"]
    assert_same_bits(SOME)


def passes_on_that_a_kernel_broke_the_context() -> None:
    assert MatrixReconstruction().gpu_trouble() is None
    os.environ["DRIVER_FAILS"] = "kernel=719"
    fails(BrokenDeviceError, evaluate_some, "CUDA_ERROR_LAUNCH_FAILED")
    del os.environ["DRIVER_FAILS"]
    fails(BrokenDeviceError, evaluate_some, "CUDA_ERROR_LAUNCH_FAILED")
    assert "CUDA_ERROR_LAUNCH_FAILED" in str(MatrixReconstruction().gpu_trouble())


def knows_what_is_wrong_with_the_gpu() -> None:
    calls = {
        "cuInit": (100, "no GPU answers: CUDA says CUDA_ERROR_NO_DEVICE"),
        "cuDeviceGet": (101, "no GPU answers: CUDA says CUDA_ERROR_INVALID_DEVICE"),
        "cuDevicePrimaryCtxRetain": (46, "CUDA_ERROR_DEVICE_UNAVAILABLE"),
        "cuModuleLoadData": (209, "CUDA_ERROR_NO_BINARY_FOR_GPU"),
    }
    for call, (code, words) in calls.items():
        os.environ["DRIVER_FAILS"] = f"{call}={code}"
        assert words in str(MatrixReconstruction().gpu_trouble())
        fails(BrokenDeviceError, gpu_driver.describe, words)
    del os.environ["DRIVER_FAILS"]
    assert MatrixReconstruction().gpu_trouble() is None


def searches_to_the_same_result() -> None:
    found: dict[str, list[RunEvent]] = {"gpu": [], "cpu": []}
    with TemporaryDirectory() as folder, session(None, fake_gpus=1):
        for backend, cluster in (("gpu", {"pool": "ray"}), ("cpu", {"pool": "in-process"})):
            few = {
                "fidelity": {"targets": 1, "steps": 2, "finalists": 2},
                "loop": {"generations": 2},
                "tuning": {"trials": 2},
            }
            settings = recipe(6, 6, 24, runs=folder, cluster=cluster, **few)
            search(settings, MatrixReconstruction(), watcher=found[backend].append)
    backends = {
        name: [one.header.backend for one in seen if isinstance(one, RunOpened)] for name, seen in found.items()
    }
    assert backends == {"gpu": ["gpu"], "cpu": ["cpu"]}
    on_gpu, on_cpu = ([one.digest for one in seen if isinstance(one, TableRecord)] for seen in found.values())
    assert len(on_gpu) == 1 and on_gpu == on_cpu
    devices = {record.device.split()[0] for record in found["gpu"] if isinstance(record, ScoreRecord)}
    assert devices <= {"gpu", "cache"} and "gpu" in devices


def problems_of(asked: list[tuple[Topology, int]]) -> list[Problem]:
    return [problem_of(topology, Fidelity(count, 1, (0.3,)), Split.SEARCH, 0) for topology, count in asked]


def assert_same_bits(asked: list[tuple[Topology, int]], train: Callable[..., list] = train_many) -> None:
    problems = problems_of(asked)
    for problem, (losses, kept) in zip(problems, train(problems, SCHEDULE), strict=True):
        expected, expected_kept = cpu.train(*problem, SCHEDULE)
        np.testing.assert_array_equal(losses, expected)
        np.testing.assert_array_equal(kept, expected_kept)


def evaluate_some() -> list[Outcome]:
    tasks = [
        Task(number=n, topology=topology, fidelity=Fidelity(1, 2, (0.3,)), split=Split.SEARCH, seed=0)
        for n, (topology, _) in enumerate(SOME)
    ]
    return evaluate(MatrixReconstruction().on_gpu(), tasks, "")


def fails(kind: type[Exception], call: Callable[[], object], words: str) -> None:
    """It does, with these words, and all of them in one line."""
    try:
        call()
    except kind as error:
        assert words in str(error) and "\n" not in str(error), str(error)
    else:
        raise AssertionError(f"not refused, though {words}")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    assert driver.driver_bytes() == 0, "memory was left behind"
    assert driver.driver_streams() == 0, "streams were left behind"
