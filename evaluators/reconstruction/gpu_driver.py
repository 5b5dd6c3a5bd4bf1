"""The GPU of this process, the first that CUDA shows, through NVIDIA's own bindings (the extra ``gpu``).

The kernel is compiled for it when first needed, to machine code: the driver has nothing left to decide.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from evaluators.reconstruction.gpu_layout import Batch, Device, Pace
from evaluators.task import BrokenDeviceError

SOURCE = Path(__file__).with_name("kernel.cu")
OPTIONS = ("--std=c++17", "--fmad=false", "--prec-div=true", "--prec-sqrt=true", "--ftz=false")
"""One rounding an operation, correct division and root, subnormals kept: the bits of the CPU."""

_KERNEL_THREADS = 1024
"""Threads of a multiprocessor for which the kernel leaves registers, by its launch bounds."""
_SHARE = 0.5
"""Share of the free device memory that one launch may use."""
_LARGEST = 2**33
"""Bytes that one launch may use on any device: the kernel counts floats in 31 bits."""
_PARAMETERS = (ctypes.c_void_p,) * 5 + (ctypes.c_int,) + (ctypes.c_float,) * 4 + (ctypes.c_void_p,) * 3
"""Types of the kernel's parameters."""


class _Gpu(NamedTuple):
    driver: Any
    device: Any
    context: Any
    kernels: dict[str, Any]


def available() -> bool:
    """Whether this process has a GPU that can be used: what :func:`describe` would not refuse."""
    try:
        describe()
    except (BrokenDeviceError, MemoryError):
        return False
    return True


def describe() -> Device:
    """What of the GPU decides how work is cut up.

    Raises
    ------
    BrokenDeviceError
        When the bindings are not installed, no GPU answers, or the kernel cannot be compiled for it.
    """
    driver, device, _, _ = _gpu()

    def ask(name: str) -> int:
        attribute = getattr(driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(_checked(driver.cuDeviceGetAttribute(attribute, device)))

    free, _ = _checked(driver.cuMemGetInfo())
    return Device(
        processors=ask("MULTIPROCESSOR_COUNT"),
        threads=min(_KERNEL_THREADS, ask("MAX_THREADS_PER_BLOCK")),
        shared=ask("MAX_SHARED_MEMORY_PER_MULTIPROCESSOR"),
        shared_of_block=ask("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"),
        memory=min(int(_SHARE * free), _LARGEST),
    )


def run(batch: Batch, pace: Pace) -> None:
    """Run the kernel on a batch, all its launches side by side. Nothing of it stays on the GPU."""
    driver, _, _, kernels = _gpu()
    with ExitStack() as stack:

        def upload(array: NDArray[Any]) -> int:
            place = stack.enter_context(_memory(driver, array.nbytes))
            if array.nbytes:
                _checked(driver.cuMemcpyHtoD(place, array.ctypes.data, array.nbytes))
            return place

        jobs, tables, given, kept, lowest = map(upload, batch[1:6])
        rates, floors = upload(pace.rates), upload(pace.floors)
        scratch = stack.enter_context(_memory(driver, 4 * batch.scratch))
        _checked(driver.cuCtxSynchronize())  # uploads may still be on their way, and streams need not wait
        for launch in batch.launches:
            first_job = jobs + launch.start * batch.jobs.strides[0]
            values = (first_job, tables, given, rates, floors, len(pace.rates), *pace.memories, kept, lowest, scratch)
            grid, block = (launch.stop - launch.start, 1, 1), (launch.threads, 1, 1)
            stream = stack.enter_context(_stream(driver))
            parameters = (values, _PARAMETERS)
            kernel = kernels[launch.kernel]
            _checked(driver.cuLaunchKernel(kernel, *grid, *block, launch.shared, stream, parameters, 0))
        _checked(driver.cuCtxSynchronize())
        for array, place in ((batch.kept, kept), (batch.lowest, lowest)):
            if array.nbytes:
                _checked(driver.cuMemcpyDtoH(array.ctypes.data, place, array.nbytes))


def compiled(architecture: str) -> bytes:
    """Machine code of the kernel for an architecture such as ``sm_90``; needs no GPU, only the bindings."""
    from cuda.bindings import nvrtc

    program = _checked(nvrtc.nvrtcCreateProgram(SOURCE.read_bytes(), SOURCE.name.encode(), 0, [], []))
    options = [option.encode() for option in (f"--gpu-architecture={architecture}", *OPTIONS)]
    try:
        (failure,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        if int(failure):
            log = bytearray(_checked(nvrtc.nvrtcGetProgramLogSize(program)))
            _checked(nvrtc.nvrtcGetProgramLog(program, log))
            raise BrokenDeviceError(
                f"the GPU kernel does not compile for {architecture}: {bytes(log).decode().strip(chr(0)).strip()}"
            )
        code = bytearray(_checked(nvrtc.nvrtcGetCUBINSize(program)))
        _checked(nvrtc.nvrtcGetCUBIN(program, code))
        return bytes(code)
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _gpu() -> _Gpu:
    """The GPU, current in the calling thread."""
    try:
        gpu = _opened()
    except RuntimeError as error:  # also the bindings' own, in many lines, where a library is missing
        raise BrokenDeviceError(" ".join(str(error).split())) from None
    _checked(gpu.driver.cuCtxSetCurrent(gpu.context))
    return gpu


@cache
def _opened() -> _Gpu:
    try:
        from cuda.bindings import driver
    except ImportError:
        raise BrokenDeviceError("a GPU needs NVIDIA's bindings: pip install 'evofabric[gpu]'") from None
    try:
        _checked(driver.cuInit(0))
        device = _checked(driver.cuDeviceGet(0))
    except RuntimeError as error:  # also the bindings' own, where there is no driver
        raise BrokenDeviceError(f"no GPU answers: {error}") from None
    context = _checked(driver.cuDevicePrimaryCtxRetain(device))
    _checked(driver.cuCtxSetCurrent(context))
    asked = driver.CUdevice_attribute
    major = _checked(driver.cuDeviceGetAttribute(asked.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device))
    minor = _checked(driver.cuDeviceGetAttribute(asked.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device))
    shared = _checked(driver.cuDeviceGetAttribute(asked.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, device))
    module = _checked(driver.cuModuleLoadData(compiled(f"sm_{major}{minor}")))
    kernels = {}
    for name in ("train_shared", "train_shared_values", "train_global"):
        kernels[name] = kernel = _checked(driver.cuModuleGetFunction(module, name.encode()))
        attributes = driver.CUfunction_attribute
        _checked(driver.cuFuncSetAttribute(kernel, attributes.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared))
        if name != "train_global":  # as much shared memory as there is; the other kernel has more use for cache
            _checked(
                driver.cuFuncSetAttribute(kernel, attributes.CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 100)
            )
    return _Gpu(driver, device, context, kernels)


@contextmanager
def _memory(driver: Any, size: int) -> Iterator[int]:
    """Device memory of at least ``size`` bytes."""
    place = _checked(driver.cuMemAlloc(max(size, 1)))
    try:
        yield int(place)
    finally:
        driver.cuMemFree(place)


@contextmanager
def _stream(driver: Any) -> Iterator[Any]:
    """A stream, for work that goes on beside that of others."""
    stream = _checked(driver.cuStreamCreate(0))
    try:
        yield stream
    finally:
        driver.cuStreamDestroy(stream)


def _checked(answer: tuple[Any, ...]) -> Any:
    """What a call of the bindings returned after its error code: nothing, one value or several."""
    failure, *values = answer
    if int(failure):
        kind = MemoryError if failure.name == "CUDA_ERROR_OUT_OF_MEMORY" else BrokenDeviceError
        raise kind(f"CUDA says {failure.name}")
    return values[0] if len(values) == 1 else tuple(values)
