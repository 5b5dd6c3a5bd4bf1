"""The house rules: which room may import which, each big library in its place, and help that comes at once."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]

FLOORS = ("topologies", "evaluators", "cluster", "evo")
"""The top-level packages; each may import those before it."""

ROOMS = {
    "topologies.kernel": {"topologies"},
    "topologies.families": {"topologies"},
    "topologies": {
        "topologies.families",
        "topologies.kernel",
        "topologies.models",
    },  # its public names, and expressions of families
    "topologies.models": {"topologies", "topologies.kernel"},
    "topologies.testing": {"topologies", "topologies.families", "topologies.models", "topologies.kernel"},
    "evaluators": {  # its public names
        f"evaluators.{room}" for room in ("controllability", "proxies", "reconstruction", "training")
    },
    "evaluators.training": {"evaluators"},
    "evaluators.reconstruction": {"evaluators"},
    "evaluators.controllability": {"evaluators"},
    "evaluators.proxies": {"evaluators", "evaluators.controllability"},
    "cluster": set[str](),
    "evo.section": set[str](),
    "evo.fidelity_settings": {"evo.section"},
    "evo.own_data": {"evo.section", "evo.fidelity_settings"},
    "evo.shipped": set[str](),
    "evo.kinds": set[str](),
    "evo.places": {"evo.section"},
    "evo.space_settings": {"evo.section"},
    "evo.stages": {"evo.own_data"},
    "evo.run_settings": {"evo.section", "evo.kinds", "evo.own_data"},
    "evo.settings": {
        f"evo.{room}"
        for room in (
            "section",
            "fidelity_settings",
            "run_settings",
            "own_data",
            "places",
            "space_settings",
            "stages",
        )
    },
    "evo.recipe": {"evo.shipped", "evo.kinds", "evo.run_settings", "evo.settings"},
    "evo.settings_text": {"evo.run_settings", "evo.settings"},
    "evo.variation": set[str](),
    "evo.algorithm": {"evo.variation"},
    "evo.storage": {
        "evo.kinds",
        "evo.own_data",
        "evo.stages",
        "evo.run_settings",
        "evo.settings",
        "evo.recipe",
        "evo.variation",
        "evo.algorithm",
    },
    "evo.experiment": {
        "evo.kinds",
        "evo.own_data",
        "evo.settings",
        "evo.recipe",
        "evo.variation",
        "evo.algorithm",
        "evo.storage",
    },
    "evo.report": {
        "evo.kinds",
        "evo.own_data",
        "evo.settings",
        "evo.recipe",
        "evo.algorithm",
        "evo.storage",
        "evo.experiment",
    },
    "evo.tracking": {
        "evo.kinds",
        "evo.run_settings",
        "evo.settings",
        "evo.algorithm",
        "evo.storage",
        "evo.experiment",
        "evo.report",
    },
    "evo.studies": {
        "evo.section",
        "evo.kinds",
        "evo.own_data",
        "evo.run_settings",
        "evo.settings",
        "evo.recipe",
        "evo.variation",
        "evo.algorithm",
        "evo.storage",
        "evo.experiment",
        "evo.report",
        "evo.tracking",
        "evo.console",
    },
    "evo.console": {"evo.settings", "evo.storage", "evo.experiment", "evo.report", "evo.tracking"},
    "evo.cli": {
        f"evo.{room}"
        for room in (
            "shipped",
            "kinds",
            "run_settings",
            "settings",
            "recipe",
            "settings_text",
            "storage",
            "experiment",
            "report",
            "tracking",
            "studies",
            "console",
        )
    },
    "evo.tracked_model": {"evo.tracking"},
    "evo.door": {f"evo.{room}" for room in ("settings", "storage", "experiment", "report", "console")},
    "evo": {"evo.settings", "evo.door"},  # its public names
    "evofabric": {"evo.cli", "topologies"},
}
"""Every room, and the others of its floor that it may import; those of the floors below are open to all."""

PUBLIC = {"topologies/__init__.py", "evaluators/__init__.py", "evo/__init__.py"}
"""Files that offer the public names of a floor, and no part of the order of its rooms."""

FACADE = {
    ("topologies/topology.py", "topologies.canonical"),
    ("topologies/topology.py", "topologies.crop"),
    ("topologies/topology.py", "topologies.files"),
    ("topologies/topology.py", "topologies.reach"),
    ("topologies/stack.py", "topologies.files"),
}
"""The only imports that go in a circle: the methods of ``Topology`` and ``Stack`` that are functions of other files."""

LIBRARIES = {
    "deap": {"evo/algorithm/selection.py"},
    "jinja2": {"evo/report/html/page.py"},
    "moocore": {"evo/algorithm/selection.py"},
    "optuna": {"evo/experiment/tune.py"},
    "mlflow": {"evo/tracking/*.py"},
    "ray": {"cluster/ray_*.py"},
    "sklearn": {"evaluators/training/files.py"},
    "typer": {"evo/cli/*.py"},
}
"""The big libraries, and the files that may import them."""

SLOW = {
    "torch",
    "ray",
    "mlflow",
    "numba",
    "optuna",
    "deap",
    "scipy",
    "matplotlib",
    "networkx",
    "safetensors",
    "pandas",
    "sklearn",
}
"""Libraries that take longer to load than a person waits for an answer about options."""


def modules() -> Iterator[Path]:
    """Every module of ours, tests apart."""
    for floor in FLOORS:
        yield from (HOME / floor).rglob("*.py")
    yield HOME / "evofabric.py"


def place(module: Path) -> str:
    """A file's path from the top of the project."""
    return module.relative_to(HOME).as_posix()


def is_module(name: str) -> bool:
    """Whether a dotted name is a file or a package of ours."""
    path = HOME / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def imported(module: Path) -> set[str]:
    """Dotted names that a module imports anywhere in it, also within functions and for type checkers only."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(module.relative_to(HOME).parts[: -node.level]) if node.level else ""
            base = ".".join(filter(None, (package, node.module)))
            full = {f"{base}.{alias.name}" for alias in node.names}
            names |= {name if is_module(name) else base for name in full}
    return names


def room_of(name: str) -> str | None:
    """The room that a module or file belongs to, None for what is not ours."""
    parts = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".").split(".")
    rooms = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((room for room in rooms if room in ROOMS), None)


IMPORTS = {place(path): imported(path) for path in modules()}


def rooms_imported(file: str) -> set[str]:
    """The rooms that a file imports, its own left out."""
    return {room for name in IMPORTS[file] if (room := room_of(name)) is not None and room != room_of(file)}


def test_the_walk_sees_imports_of_every_form() -> None:
    assert {room_of(file) for file in IMPORTS} == set(ROOMS)
    assert {"evaluators.task", "topologies.canonical", "numpy"} <= IMPORTS["evaluators/reconstruction/evaluator.py"]
    assert "evaluators.reconstruction.cpu" in IMPORTS["evaluators/reconstruction/evaluator.py"]  # within a function
    assert "mlflow" in IMPORTS["evo/tracking/client.py"]
    assert "evo.report.figures" in IMPORTS["evo/report/artifacts.py"]  # `from evo.report import figures`


@pytest.mark.parametrize("file", IMPORTS)
def test_a_room_imports_only_the_rooms_below_it(file: str) -> None:
    room = room_of(file)
    assert room is not None
    floor = room.split(".")[0]
    lower = FLOORS[: FLOORS.index(floor)] if floor in FLOORS else ()
    allowed = {other for other in ROOMS if other.split(".")[0] in lower} | ROOMS[room]
    assert rooms_imported(file) - allowed == set()


def test_rooms_import_one_another_one_way() -> None:
    graph: dict[str, set[str]] = {room: set() for room in ROOMS}
    for file in IMPORTS.keys() - PUBLIC:
        graph[room_of(file) or ""] |= rooms_imported(file) - {"topologies", "evaluators", "evo"}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_no_files_import_each_other_in_a_circle() -> None:
    files = {file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): file for file in IMPORTS}
    graph = {
        file: {
            files[name] for name in found if name in files and (file, name) not in FACADE and files[name] not in PUBLIC
        }
        for file, found in IMPORTS.items()
    }
    assert list(TopologicalSorter({file: found - {file} for file, found in graph.items()}).static_order())
    assert all(name in IMPORTS[file] for file, name in FACADE)


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_big_library_has_its_place(library: str) -> None:
    users = {file for file, found in IMPORTS.items() if library in {name.split(".")[0] for name in found}}
    assert users
    assert {file for file in users if not any(fnmatch(file, place) for place in LIBRARIES[library])} == set()


def test_nothing_of_ours_imports_tests() -> None:
    assert [file for file, found in IMPORTS.items() if any(name.split(".")[0] == "tests" for name in found)] == []


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
