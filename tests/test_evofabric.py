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


def test_windows_is_refused_in_one_line() -> None:
    windows = "import sys, evofabric; sys.platform, sys.modules['fcntl'] = 'win32', None; evofabric.main()"
    ended = started(windows)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "evofabric: Windows is not supported: use Linux or macOS, or the Windows Subsystem for Linux\n"
    )
