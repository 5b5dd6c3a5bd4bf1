"""No command leaves a person waiting without a sign: measured at a terminal, with time to spare for a busy machine."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from evo.cli import app

LONGEST = 2.0
"""Seconds without a sign."""
RECIPE = """
n_in = 8
n_out = 8
budget = 40
"""


def silences(arguments: list[str], folder: Path) -> tuple[list[float], str]:
    """The seconds before every sign that a command gives at a terminal, and all of them."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    start = time.monotonic()
    command = [sys.executable, "-m", "evofabric", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    moments, said = [start], b""
    while select.select([ours], [], [], 60)[0]:
        try:
            words = os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
        moments.append(time.monotonic())
        said += words
    os.close(ours)
    process.wait(60)
    return [after - before for before, after in pairwise(moments)], said.decode(errors="replace")


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "families",
        "runs",
        "show butterfly(8,3)",
        "export butterfly(8,3) masks.npz",
        "init",
        "settings",
        "search recipe.toml --dry-run --set n_in=784 --set n_out=784 --set budget=61000",
        "search --data digits --hidden 64,64 --dry-run",
        "search missing.toml",
        "resume missing",
        "score missing",
        "tune missing.toml",
        "verify missing",
        "proxies missing.toml",
        "track missing",
        "report missing",
        "compare missing missing",
        "generalise missing --size 8x8 --edges 20",
        "study missing.toml",
        "ui --runs missing",
    ],
)
def test_no_command_is_silent_for_long(command: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    waited, said = silences(command.split(), tmp_path)
    assert waited and max(waited) < LONGEST, said


def test_every_command_is_tried() -> None:
    (parameters,) = (mark.args[1] for mark in test_no_command_is_silent_for_long.pytestmark)  # type: ignore[attr-defined]
    named = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert named == {command.split()[0] for command in parameters} - {"--help"}
