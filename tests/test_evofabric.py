"""The ``evofabric`` command before it loads anything: where it cannot work, one line says why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[1]


def started(program: str, *path: Path) -> subprocess.CompletedProcess[str]:
    """The end of a fresh process that runs a program, with folders before our own on the import path."""
    return subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, HOME)))},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["topologies", "evaluators", "cluster", "evo"])
def test_another_projects_package_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    ended = started("import evofabric; evofabric.main()", tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith(
        f"evofabric: the package {name!r} comes from {package}, not from evofabric in {HOME}"
    )
    assert f"pip uninstall {name}" in ended.stderr


def test_another_project_behind_ours_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "evo").mkdir()
    (tmp_path / "evo" / "__init__.py").touch()
    ended = started("import evofabric; evofabric.check_packages()", HOME, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("end", "status"), [("", 0), ("sys.exit()", 0), ("sys.exit(3)", 3), ("sys.exit('why')", 1), ("1 / 0", 1)]
)
def test_the_command_does_what_is_to_be_done_at_the_end_and_takes_nothing_apart(end: str, status: int) -> None:
    program = f"""
import atexit, sys, evofabric
class Library:
    def __del__(self):
        print("taken apart")
library = Library()
def command_line():
    atexit.register(print, "handled")
    print("said")
    {end}
evofabric._main = command_line
evofabric.command()
"""
    ended = started(program)
    assert (ended.returncode, ended.stdout) == (status, "said\nhandled\n")
    assert ("why" in ended.stderr, "ZeroDivisionError" in ended.stderr) == ("why" in end, "1 / 0" in end)


REFUSAL = (
    "evo needs Linux or macOS (on Windows, the Windows Subsystem for Linux): files cannot be locked here, as runs are "
    "locked"
)
NO_LOCKS = "import sys; sys.modules['fcntl'] = None; "  # as on Windows


def test_windows_is_refused_in_one_line() -> None:
    ended = started(NO_LOCKS + "import evofabric; evofabric.main()")
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"evofabric: {REFUSAL}\n")


@pytest.mark.parametrize(
    "door", ["import evo", "from evo import search", "import evo.storage.journal", "import evo.tracking.client"]
)
def test_windows_is_refused_from_python_with_the_same_words(door: str) -> None:
    ended = started(NO_LOCKS + door)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, f"ImportError: {REFUSAL}")
    assert "fcntl" not in ended.stderr.replace("import fcntl", "") and "During handling" not in ended.stderr


@pytest.mark.parametrize("name", ["topologies.butterfly", "evaluators.Score"])
def test_topologies_and_evaluators_need_no_locks(name: str) -> None:
    ended = started(NO_LOCKS + f"import {name.partition('.')[0]}; {name}")
    assert (ended.returncode, ended.stderr) == (0, "")
