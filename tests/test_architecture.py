"""The house rules: which room may import which, each big library in its place, and help that comes at once."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]

ROOMS = {
    "topologies": set[str](),
    "evaluators": {"topologies"},
    "cluster": {"evaluators", "topologies", "evofabric"},
    "evo": {"cluster", "evaluators", "topologies", "evofabric"},
    "evofabric": {"evo"},
}
"""Each room, and the others that it may import."""

LIBRARIES = {
    "deap": {"evo/selection.py"},
    "optuna": {"evo/tune.py"},
    "mlflow": {"evo/tracking.py", "evo/tracked_model.py"},  # the model file is run by MLflow itself
    "ray": {"cluster/ray_*.py"},
    "typer": {"evo/cli.py"},
}
"""The big libraries, and the files that may import them."""

SLOW = {"torch", "ray", "mlflow", "numba", "optuna", "deap", "scipy", "matplotlib", "networkx", "safetensors", "pandas"}
"""Libraries that take longer to load than a person waits for an answer about options."""


def modules() -> Iterator[Path]:
    """Every module of ours, tests apart."""
    for room in ROOMS:
        yield from (HOME / room).rglob("*.py")
    yield HOME / "evofabric.py"


def imported(module: Path) -> set[str]:
    """Top-level names that a module imports anywhere in it, also within functions and for type checkers only."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(room_of(module) if node.level else (node.module or "").split(".")[0])
    return names


def room_of(module: Path) -> str:
    """The top-level package or module that a file belongs to."""
    return module.relative_to(HOME).parts[0].removesuffix(".py")


IMPORTS = {path.relative_to(HOME).as_posix(): imported(path) for path in modules()}


def test_the_walk_sees_imports_of_every_form(tmp_path: Path) -> None:
    assert set(ROOMS) == {room_of(HOME / name) for name in IMPORTS}
    assert {"topologies", "evaluators", "numpy"} <= IMPORTS["evaluators/reconstruction.py"]
    assert "mlflow" in IMPORTS["evo/tracking.py"]  # within functions


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    allowed = ROOMS[room] | {room}
    strays = {name: found & set(ROOMS) - allowed for name, found in IMPORTS.items() if room_of(HOME / name) == room}
    assert {name: found for name, found in strays.items() if found} == {}


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_big_library_has_its_place(library: str) -> None:
    users = {name for name, found in IMPORTS.items() if library in found}
    assert users
    assert {name for name in users if not any(fnmatch(name, place) for place in LIBRARIES[library])} == set()


def test_nothing_of_ours_imports_tests() -> None:
    assert [name for name, found in IMPORTS.items() if "tests" in found] == []


def loaded_after(program: str) -> set[str]:
    """Top-level modules in a fresh process that has run a program."""
    told = "\nimport sys\nprint('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))"
    answer = subprocess.run(
        [sys.executable, "-c", program + told], capture_output=True, text=True, check=True, cwd=HOME
    )
    return set(answer.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"], []], ids=" ".join)
def test_help_answers_without_loading_anything_slow(arguments: list[str]) -> None:
    program = f"""
import sys, evofabric
sys.argv = ['evofabric', *{arguments}]
try:
    evofabric.main()
except SystemExit as end:
    assert end.code in (0, 2)
"""
    loaded = loaded_after(program)
    assert "typer" in loaded
    assert loaded & SLOW == set()


def test_topologies_load_nothing_slow() -> None:
    loaded = loaded_after("import topologies\ntopologies.butterfly(8, 3).digest")
    assert "numpy" in loaded
    assert loaded & (SLOW | {"evaluators", "cluster", "evo"}) == set()
