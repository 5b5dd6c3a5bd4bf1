"""`make bench`: the reconstruction kernel beside the loops it replaces, its scaling, and sparse layers, in one run."""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import importlib.util

import torch
from rich.console import Console

from tests.benchmarks.against_loops import loops_table
from tests.benchmarks.layers import layer_tables
from tests.benchmarks.problems import one_core
from tests.benchmarks.scaling import cores_table, size_table


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    console = Console()
    with one_core():
        console.print(loops_table())
        if importlib.util.find_spec("jax"):
            from tests.benchmarks.against_jax import jax_table

            console.print(jax_table())
        else:
            console.print("pip install evofabric[bench] for the comparison with JAX", markup=False)
        for measure in layer_tables():
            console.print(measure())
        if importlib.util.find_spec("sparseprop"):
            from tests.benchmarks.against_sparseprop import BATCHES, sparseprop_table

            for rows in BATCHES:
                console.print(sparseprop_table(rows))
        else:
            console.print("pip install --no-build-isolation sparseprop for the comparison with SparseProp")
        console.print(size_table())
    console.print(cores_table())


if __name__ == "__main__":
    main()
