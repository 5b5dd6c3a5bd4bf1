"""Runs the CUDA kernel on a CPU: the same source under a C++ compiler, with real threads that meet at barriers."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from evaluators.reconstruction import gpu
from evaluators.reconstruction.gpu_layout import Batch, Pace

COMPILER = shutil.which("g++")
FLAGS = ("-std=c++20", "-O2", "-march=native", "-ffp-contract=off", "-shared", "-fPIC", "-pthread")
KERNELS = ("train_shared", "train_shared_values", "train_global")
GLUE = """
#include "cuda_on_cpu.h"
#include "kernel.cu"

extern "C" bool run(int which, int blocks, int threads, std::size_t shared_bytes, const Job* jobs, const int* tables,
                    const float* given, const float* rates, const float* floors, int steps, float keep_1, float take_1,
                    float keep_2, float take_2, float* kept, float* lowest, float4* scratch) {
    const auto kernel = which == 0 ? train_shared : which == 1 ? train_shared_values : train_global;
    return launch(blocks, threads, shared_bytes, [=] {
        kernel(jobs, tables, given, rates, floors, steps, keep_1, take_1, keep_2, take_2, kept, lowest, scratch);
    });
}
"""


def build(folder: Path, *options: str) -> Callable[[Batch, Pace], None]:
    """Compile the kernel; returns what runs a batch as the GPU would."""
    source, library = folder / "kernel.cpp", folder / "kernel.so"
    source.write_text(GLUE)
    includes = [f"-I{Path(__file__).parent}", f"-I{Path(gpu.__file__).parent}"]
    subprocess.run([str(COMPILER), *FLAGS, *options, *includes, str(source), "-o", str(library)], check=True)
    function = ctypes.CDLL(str(library)).run
    function.restype = ctypes.c_bool

    def run(batch: Batch, pace: Pace) -> None:
        scratch = np.full(batch.scratch + 1024, np.nan, dtype=np.float32)
        for launch in batch.launches:
            inside = function(
                KERNELS.index(launch.kernel),
                launch.stop - launch.start,
                launch.threads,
                ctypes.c_size_t(launch.shared),
                _pointer(batch.jobs[launch.start :]),
                *(_pointer(array) for array in (batch.tables, batch.given, *pace[:2])),
                len(pace.rates),
                *(ctypes.c_float(number) for number in pace.memories),
                *(_pointer(array) for array in (batch.kept, batch.lowest, scratch)),
            )
            assert inside, "written beyond the end of shared memory"
        assert np.isnan(scratch[batch.scratch :]).all(), "written beyond the end of scratch memory"

    return run


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
