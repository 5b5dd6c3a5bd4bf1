"""What drives the GPU, against a stand-in for NVIDIA's driver; the bindings and the compiler are the real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evaluators.reconstruction import gpu_driver
from tests.evaluators.reconstruction import cuda_on_cpu

pytestmark = pytest.mark.kernel

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
STORIES = (
    "gives_the_bits_of_the_cpu_kernel",
    "can_be_used_from_any_thread",
    "needs_no_default_stream_that_others_wait_for",
    "cuts_up_what_does_not_fit_at_once",
    "says_when_memory_is_gone_and_goes_on_when_it_is_back",
    "passes_on_that_a_launch_failed",
    "passes_on_that_a_kernel_broke_the_context",
    "knows_what_is_wrong_with_the_gpu",
    "searches_to_the_same_result",
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ``libcuda.so.1`` that needs no GPU."""
    pytest.importorskip("cuda.bindings", reason="the extra gpu is not installed")
    if not cuda_on_cpu.COMPILER:
        pytest.skip("no g++ to compile the driver for the CPU")
    if gpu_driver.available():
        pytest.skip("a real driver is here, and a GPU on which to test the kernel itself")
    folder = tmp_path_factory.mktemp("driver_on_cpu")
    command = [cuda_on_cpu.COMPILER, *cuda_on_cpu.FLAGS, "-fvisibility=hidden", f"-I{gpu_driver.SOURCE.parent}"]
    subprocess.run([*command, str(HERE / "driver_on_cpu.cpp"), "-o", str(folder / "libcuda.so.1")], check=True)
    return folder


@pytest.mark.parametrize("story", STORIES)
def test_a_process_with_a_gpu(driver: Path, story: str) -> None:
    paths = [str(driver), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    surroundings = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "tests.evaluators.reconstruction.gpu_stories", story]
    told = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
