"""Kernels are compiled once on a machine, and again when any file of theirs is another."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import pytest

from topologies.kernel.compiled import _Files

HOME = Path(__file__).parents[3]
PROGRAM = """
import numpy as np
from topologies.kernel.small import first
print(first(np.ones(1, np.float32)))
"""
KERNEL = """
from topologies.kernel.compiled import compiled
from topologies.kernel.tiles import put
@compiled
def first(array):
    put(array, 0, array[0] + array[0])
    return array[0]
"""

pytestmark = pytest.mark.kernel


def _run(folder: Path) -> tuple[str, bool]:
    """What the program prints in that folder, and whether it said that it compiles."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip(), "compiling" in done.stderr


def test_an_edit_of_an_imported_file_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(HOME / "topologies", tmp_path / "topologies", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "topologies" / "kernel" / "small.py").write_text(KERNEL)
    first, compiled = _run(tmp_path)
    assert compiled
    assert _run(tmp_path) == (first, False)
    file = tmp_path / "topologies" / "kernel" / "tiles.py"
    text = file.read_text()
    stores = "builder.store(cast, "
    assert text.count(stores) == 1
    file.write_text(text.replace(stores, "builder.store(builder.fadd(cast, cast), "))
    second, compiled = _run(tmp_path)
    assert compiled
    assert float(second) > float(first)


def test_the_plain_way_stands_in_where_numba_is_not_installed(tmp_path: Path) -> None:
    """A word says so; results are the same."""
    (tmp_path / "numba.py").write_text("raise ImportError('no numba here')")
    program = """
import torch
from topologies import SparseCascade, butterfly
torch.manual_seed(0)
layer = SparseCascade(butterfly(8, 3))
x = torch.randn(40, 8, requires_grad=True)
y = layer(x)
y.sum().backward()
torch.testing.assert_close(y, x @ layer.dense())
"""
    path = {"PYTHONPATH": f"{tmp_path}:{HOME}"}
    done = subprocess.run([sys.executable, "-c", program], env=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "numba" in done.stderr


def test_two_processes_that_compile_at_once_never_find_each_others_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither sees the other's index before both have written their code."""
    first, second = (_Files(str(tmp_path), "kernel", "stamp") for _ in range(2))
    with monkeypatch.context() as patch:
        patch.setattr(_Files, "_load_index", lambda self: {})
        first.save("for tiles of 16", "code 16")
        second.save("for tiles of 64", "code 64")
    for key, code in (("for tiles of 16", "code 16"), ("for tiles of 64", "code 64")):
        assert _Files(str(tmp_path), "kernel", "stamp").load(key) in (code, None)
    first.save("for tiles of 16", "code 16")
    assert [first.load(key) for key in ("for tiles of 16", "for tiles of 64")] == ["code 16", "code 64"]


def test_functions_that_are_of_no_module_are_compiled_as_ever() -> None:
    made: dict[str, Any] = {}
    exec("def next_of(number): return number + 1", made)
    assert made["next_of"].__module__ is None
    assert numba.njit(made["next_of"])(1) == 2
