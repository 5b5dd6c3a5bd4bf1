"""Sparse layers beside SparseProp's, which multiply by one sparse matrix: time of training, on one thread.

SparseProp (Nikdan et al. 2023, https://arxiv.org/abs/2302.04852) is the CPU rival: a layer of compressed sparse rows,
vectorised over the batch. Where there are AVX2 and a C++ compiler, `pip install pybind11 setuptools wheel` and then
`pip install --no-build-isolation sparseprop` build it; `python -m tests.benchmarks.against_sparseprop` takes a minute.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # SparseProp has OpenMP's

import torch
from rich.console import Console
from rich.table import Table
from sparseprop.modules import SparseLinear
from torch import Tensor, nn

from tests.benchmarks.layers import times
from tests.benchmarks.problems import one_core, table
from topologies import SparseCascade, Topology, random_regular
from topologies.families import FAMILIES

WIDTHS = (256, 1024, 4096)
BATCHES = (32, 512)


def single(n: int) -> Topology:
    """One random layer with a tenth of the dense layer's edges, all of them trainable, like SparseProp's."""
    return random_regular(n, n, n, 1, round(0.1 * n), 0, skip=False)


def sparseprop_table(rows: int, widths: Sequence[int] = WIDTHS) -> Table:
    """Time of a training step, and of its forward pass, over the dense layer's."""
    result = table(f"Training step over nn.Linear's, {rows} rows (forward pass)", "layer", *map(str, widths))
    names = ("SparseProp", "single layer, the same edges", "cascade, random regular")
    cells: dict[str, list[str]] = {name: [] for name in ("nn.Linear, ms", *names, "SparseProp differs by")}
    for n in widths:
        ours = SparseCascade(single(n))
        theirs = SparseLinear.from_dense(ours.to_linear())
        cascade = SparseCascade(FAMILIES["random_regular"].fit(n, n, n * n // 10).topology())
        dense, *sparse = times([nn.Linear(n, n), theirs, ours, cascade], rows, n)
        cells["nn.Linear, ms"].append(f"{1e3 * dense[1]:.2f} ({1e3 * dense[0]:.2f})")
        for name, (forward, both) in zip(names, sparse, strict=True):
            cells[name].append(f"{both / dense[1]:.2f} ({forward / dense[0]:.2f})")
        cells["SparseProp differs by"].append(f"{difference(theirs, ours.to_linear(), rows, n):.0e}")
    for name, row in cells.items():
        result.add_row(name, *row)
    return result


def difference(sparse: SparseLinear, dense: nn.Linear, rows: int, n: int) -> float:
    """Largest difference of SparseProp's outputs and gradients from the dense layer's, over the largest entry."""
    x, gradient = torch.randn(rows, n), torch.randn(rows, n)
    output, by_input, by_weights = _answers(sparse, x, gradient)
    expected, by_same_input, by_all_weights = _answers(dense, x, gradient)
    pairs = (output, expected), (by_input, by_same_input), (by_weights, by_all_weights[dense.weight != 0])
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


def _answers(module: SparseLinear | nn.Linear, x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x = x.clone().requires_grad_()
    y = module(x)
    return y.detach(), *torch.autograd.grad(y, (x, module.weight), gradient)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with one_core():
        for rows in BATCHES:
            Console(width=140).print(sparseprop_table(rows))
