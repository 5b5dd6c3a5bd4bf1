"""``python -m tests.benchmarks.layers_gpu``: every way of a sparse layer beside ``nn.Linear`` on a GPU.

Times are medians of training steps between synchronisations, of one module after the other. The constants of
:mod:`topologies.kernel.way` for other devices than a CPU come from here. Prints one line where there is no GPU.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from tests.benchmarks.layers import layers
from tests.benchmarks.problems import table
from topologies import SparseCascade
from topologies.kernel.compute import chosen
from topologies.kernel.way import Way

WIDTHS, BATCHES = (256, 1024, 4096), (32, 512, 8192)
WAYS: tuple[Way, ...] = ("blocks", "folded", "plain")
SECONDS, LEAST = 0.15, 4
"""How long the steps of one module are repeated, and how often at least."""


def main() -> None:
    """Print the tables."""
    console = Console(width=120)
    if not torch.cuda.is_available():
        console.print("no GPU that PyTorch can use", markup=False)
        return
    for rows in BATCHES:
        console.print(ways_table(rows, torch.device("cuda")))
    console.print(memory_table(torch.device("cuda")))


def ways_table(rows: int, device: torch.device, widths: Sequence[int] = WIDTHS) -> Table:
    """A training step over the dense layer's, by every way, and the way that is chosen."""
    title = f"Training step over nn.Linear's, {rows} rows, {name_of(device)}"
    result = table(title, "layer", "n", *WAYS, "chosen")
    for n in widths:
        x, gradient = torch.randn(rows, n, device=device, requires_grad=True), torch.randn(rows, n, device=device)
        dense = seconds(nn.Linear(n, n, device=device), x, gradient)
        result.add_row("nn.Linear, ms", str(n), *[""] * len(WAYS), f"{1e3 * dense:.3f}")
        for name, topology in layers(n):
            cells = []
            for way in WAYS:
                module = SparseCascade(topology, device=device, way=way)
                is_there = chosen(x, module._wiring, way) == way
                cells.append(f"{seconds(module, x, gradient) / dense:.2f}" if is_there else "")
            result.add_row(name, str(n), *cells, chosen(x, module._wiring, None))
    return result


def memory_table(device: torch.device, n: int = 1024, rows: int = 8192) -> Table:
    """Peak memory of a training step of the dense layer and of sparse ones."""
    result = table(f"Peak memory of a training step, n = {n}, {rows} rows, MiB", "layer", "peak")
    x, gradient = torch.randn(rows, n, device=device, requires_grad=True), torch.randn(rows, n, device=device)
    modules: dict[str, nn.Module] = {"nn.Linear": nn.Linear(n, n, device=device)}
    modules |= {name: SparseCascade(topology, device=device) for name, topology in layers(n)}
    for name, module in modules.items():
        _step(module, x, gradient)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        _step(module, x, gradient)
        result.add_row(name, f"{(torch.cuda.max_memory_allocated() - before) / 2**20:.1f}")
    return result


def seconds(module: nn.Module, x: Tensor, gradient: Tensor) -> float:
    """Median seconds of a forward and a backward pass."""
    for _ in range(2):
        _step(module, x, gradient)
    taken: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(taken) < LEAST:
        start = time.perf_counter()
        _step(module, x, gradient)
        taken.append(time.perf_counter() - start)
    return median(taken)


def _step(module: nn.Module, x: Tensor, gradient: Tensor) -> None:
    x.grad = None
    module.zero_grad(set_to_none=True)
    module(x).backward(gradient)
    if x.is_cuda:
        torch.cuda.synchronize()


def name_of(device: torch.device) -> str:
    """What the device calls itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


if __name__ == "__main__":
    main()
