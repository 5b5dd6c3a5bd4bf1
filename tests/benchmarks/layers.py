"""Sparse layers beside the dense ones that they replace: time and memory of training, on one thread.

Run with `python -m tests.benchmarks.layers`; takes ten minutes, and is part of `make bench`. `--ways` shows what the
constants of :mod:`topologies.kernel.way` come from.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from tests.benchmarks.problems import one_core, table
from topologies import SparseCascade, Topology, butterfly
from topologies.families import FAMILIES
from topologies.kernel.way import WAYS, Way, choose, predicted_time

WIDTHS = (256, 512, 1024, 2048, 4096)
BATCHES = (1, 32, 128, 512)
TENTH = ("clos", "monarch", "random_regular", "parallel_butterfly")


def layers(n: int) -> Iterator[tuple[str, Topology]]:
    """What stands in for a dense layer of n x n: a butterfly, and families at a tenth of its parameters."""
    yield "butterfly", butterfly(n, n.bit_length() - 1)
    for name in TENTH:
        with suppress(ValueError):  # small layers have no connected member so sparse
            yield name, FAMILIES[name].fit(n, n, n * n // 10).topology()


def times(modules: Sequence[nn.Module], rows: int, n: int, seconds: float = 0.6) -> list[tuple[float, float]]:
    """Median seconds of a forward pass, and of it with its backward pass, of each module; they take turns."""
    x, gradient = torch.randn(rows, n, requires_grad=True), torch.randn(rows, n)
    found: list[list[tuple[float, float]]] = [[] for _ in modules]
    end = time.perf_counter() + seconds * len(modules)
    while time.perf_counter() < end or len(found[-1]) < 5:
        for module, taken in zip(modules, found, strict=True):
            taken.append(_step(module, x, gradient))
    return [(median(first for first, _ in taken[1:]), median(both for _, both in taken[1:])) for taken in found]


def _step(module: nn.Module, x: Tensor, gradient: Tensor) -> tuple[float, float]:
    x.grad = None
    module.zero_grad(set_to_none=True)
    start = time.perf_counter()
    y = module(x)
    middle = time.perf_counter()
    y.backward(gradient)
    return middle - start, time.perf_counter() - start


def training_table(rows: int, widths: Sequence[int] = WIDTHS) -> Table:
    """Time of a training step, and of its forward pass, over the dense layer's."""
    result = table(f"Training step over nn.Linear's, {rows} rows (forward pass)", "layer", *map(str, widths))
    cells: dict[str, dict[int, str]] = {}
    for n in widths:
        names, topologies = zip(*layers(n), strict=True)
        dense, *sparse = times([nn.Linear(n, n), *map(SparseCascade, topologies)], rows, n)
        cells.setdefault("nn.Linear, ms", {})[n] = f"{1e3 * dense[1]:.2f} ({1e3 * dense[0]:.2f})"
        for name, (forward, both) in zip(names, sparse, strict=True):
            cells.setdefault(name, {})[n] = f"{both / dense[1]:.2f} ({forward / dense[0]:.2f})"
    for name, row in cells.items():
        result.add_row(name, *(row.get(n, "-") for n in widths))
    return result


def memory_table(n: int = 1024, rows: int = 512) -> Table:
    """Bytes of a layer over the dense one's, what it keeps for the backward pass, and the peak of a training step."""
    headings = ("parameters and edges / dense", "kept beyond the input, MiB", "peak over nn.Linear's, MiB")
    result = table(f"Memory, n = {n}, {rows} rows", "layer", *headings)
    dense_peak = _peak("dense", n, rows)
    for name, topology in layers(n):
        cascade = SparseCascade(topology)
        own = sum(parameter.nbytes for parameter in cascade.parameters()) + cascade._wiring.image.nbytes
        kept = _kept(cascade, rows)
        peak = _peak(name, n, rows) - dense_peak
        result.add_row(name, f"{own / (4 * n * n):.2f}", f"{kept / 2**20:.2f}", f"{peak / 2**20:.1f}")
    return result


def _kept(cascade: SparseCascade, rows: int) -> int:
    """Bytes that autograd keeps for the backward pass, the input and the parameters left out."""
    kept: dict[int, int] = {}
    x = torch.randn(rows, cascade.in_features, requires_grad=True)
    own = {tensor.data_ptr() for tensor in (x, *cascade.parameters())}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        cascade(x)
    return sum(kept.values())


def _peak(name: str, n: int, rows: int) -> int:
    """Bytes by which resident memory rises at most in training steps, measured in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.layers", "--peak", name, str(n), str(rows)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _print_peak(name: str, n: int, rows: int) -> None:
    torch.set_num_threads(1)
    module = nn.Linear(n, n) if name == "dense" else SparseCascade(dict(layers(n))[name])
    x, gradient = torch.randn(rows, n, requires_grad=True), torch.randn(rows, n)
    _step(nn.Linear(n, n), x[:2].detach().requires_grad_(), gradient[:2])  # libraries are loaded, kernels compiled
    _step(SparseCascade(butterfly(n, 2)), x.detach().requires_grad_(), gradient)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _resident("VmRSS")
    for _ in range(3):
        _step(module, x, gradient)
    print(_resident("VmHWM") - before)


def _resident(field: str) -> int:
    """A field of what Linux says of this process's memory, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def ways_table(widths: Sequence[int] = (16, 32, 64, 128, 256, 1024), batches: Sequence[int] = (32, 512)) -> Table:
    """Every way's training step over the dense layer's, the chosen one's name, and what is predicted for it."""
    result = table("Ways, training step over nn.Linear's", "layer", "n", "rows", *WAYS, "chosen", "predicted")
    for n in widths:
        for rows in (1, *batches):
            for name, topology in layers(n):
                ways = [way for way in WAYS if _has(topology, way) and (way != "one_row" or rows == 1)]
                modules: list[nn.Module] = [SparseCascade(topology, way=way) for way in ways]
                dense, *sparse = times([nn.Linear(n, n), *modules], rows, n, 0.1)
                taken = {way: f"{both / dense[1]:.2f}" for way, (_, both) in zip(ways, sparse, strict=True)}
                chosen = choose(SparseCascade(topology)._wiring, torch.float32, torch.device("cpu"), rows)
                cells = [taken.get(way, "") for way in WAYS]
                result.add_row(name, str(n), str(rows), *cells, chosen, f"{predicted_time(topology, rows):.2f}")
    return result


def _has(topology: Topology, way: Way) -> bool:
    try:
        SparseCascade(topology, way=way)(torch.zeros(1, topology.n_in))
    except ValueError:
        return False
    return True


def layer_tables() -> Iterator[Callable[[], Table]]:
    """All tables, as functions that measure them."""
    for rows in reversed(BATCHES):
        yield lambda rows=rows: training_table(rows)  # type: ignore[misc]
    yield memory_table


if __name__ == "__main__":
    if "--peak" in sys.argv:
        _, _, name, n, rows = sys.argv
        _print_peak(name, int(n), int(rows))
    else:
        torch.set_num_threads(1)
        with one_core():
            for measure in [ways_table] if "--ways" in sys.argv else layer_tables():
                Console(width=140).print(measure())
