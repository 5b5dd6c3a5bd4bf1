"""A pool on several real Ray nodes: all are used, those that join are used, those that are lost take no task along."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster.nodes import ADDRESS

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 300.0
"""Seconds that a story may take."""

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(" " in sys.executable, reason="`ray start --head` ends at once from a path with a blank"),
]


@pytest.fixture
def place() -> Iterator[Path]:
    """Where Ray keeps its sockets: the names of those must be short."""
    place = tempfile.mkdtemp(prefix="ray")
    yield Path(place)
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def spaces() -> Iterator[list[str]]:
    """Three network namespaces; a bridge in the first has cables, called after them, to the others."""
    spaces = [f"evo{os.getpid()}{letter}" for letter in "abc"]
    head = spaces[0]
    try:
        for number, space in enumerate(spaces, 1):
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
            if space == head:
                ip("-n", head, "link", "add", "inner", "type", "bridge")
            else:
                ip("link", "add", space, "netns", head, "type", "veth", "peer", "inner", "netns", space)
                ip("-n", head, "link", "set", space, "up", "master", "inner")
            ip("-n", space, "address", "add", f"{ADDRESS}{number}/24", "dev", "inner")
            ip("-n", space, "link", "set", "inner", "up")
        yield spaces
    finally:
        for space in spaces:
            subprocess.run(["ip", "netns", "delete", space], capture_output=True)


def ip(*arguments: str) -> None:
    """Run the command of this name; skip the test where it may not do what it is told."""
    try:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("network namespaces cannot be made here: there is no command `ip` (iproute2)")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")


def told(story: str, folder: Path, place: Path, *spaces: str) -> list[str]:
    """How far a story gets, in a process of its own, and in the first of the namespaces if there are any."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    inside = ["ip", "netns", "exec", spaces[0]] if spaces else []
    process = subprocess.Popen(
        [*inside, sys.executable, "-m", "tests.cluster.nodes", story, str(folder), *spaces],
        cwd=REPOSITORY,
        env={
            **clean,
            "PYTHONPATH": str(REPOSITORY),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
            "RAY_TMPDIR": str(place),
            "RAY_USAGE_STATS_ENABLED": "0",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # nodes that a failure left behind
    assert process.returncode == 0, err
    return (folder / "said").read_text().splitlines()


def test_nodes_join_and_die_and_no_task_is_lost_or_told_twice(tmp_path: Path, place: Path) -> None:
    assert told("one_machine", tmp_path, place) == ["both nodes work", "a third has joined", "one has died"]


def test_a_machine_that_is_cut_off_and_comes_back_costs_no_task(tmp_path: Path, place: Path, spaces: list[str]) -> None:
    assert told("three_machines", tmp_path, place, *spaces) == [
        "all machines work",
        "one was out of reach for a moment",
        "one was cut off",
        "it is back",
    ]
