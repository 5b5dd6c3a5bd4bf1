"""Ctrl-C and SIGTERM at any moment of a command: one word and exit code 130, however often they come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from evo.console.interrupts import Interrupts

RECIPE = """
n_in = 8
n_out = 8
budget = 40
[loop]
generations = 100000
[cluster]
pool = "in-process"
"""
WORDS = ("evofabric: interrupted; nothing was begun\n", "evofabric: interrupted\n", "Stopped")


def handles_signals(process: int) -> bool:
    """Whether a process has come so far that it handles SIGTERM: before that there is only Python itself."""
    status = Path(f"/proc/{process}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def stopped(arguments: list[str], folder: Path, delay: float, *signals: signal.Signals) -> tuple[int, str]:
    """The exit code and the words of a command that gets signals some seconds after it has begun to handle them."""
    command = [sys.executable, "-m", "evofabric", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    while not handles_signals(process.pid):
        time.sleep(0.001)
    time.sleep(delay)
    for number in signals:
        os.killpg(process.pid, number)
        time.sleep(0.02)
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux what a process handles")
@pytest.mark.parametrize(
    ("delay", "signals"),
    [
        *((delay, (signal.SIGINT,)) for delay in (0.0, 0.05, 0.5, 1.0, 2.0, 4.0)),
        *((delay, (signal.SIGINT, signal.SIGINT)) for delay in (0.2, 2.0, 4.0)),
        *((delay, (signal.SIGTERM,)) for delay in (0.05, 2.0)),
    ],
)
def test_a_search_that_is_stopped_while_it_starts_says_so(
    folder: Path, delay: float, signals: tuple[signal.Signals, ...]
) -> None:
    code, said = stopped(["search", "recipe.toml"], folder, delay, *signals)
    assert code == 130, said
    assert "Traceback" not in said and any(words in said for words in WORDS)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux what a process handles")
@pytest.mark.parametrize("command", ["resume recipe.toml", "show butterfly(32,5)", "--help", "families", "runs"])
def test_every_command_ends_so_before_it_begins(folder: Path, command: str) -> None:
    assert stopped(command.split(), folder, 0.0, signal.SIGINT) == (130, WORDS[0])


def test_an_interruption_waits_for_the_end_of_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_load.py").write_text("import time\ntime.sleep(0.3)\nloaded = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = signal.signal(signal.SIGINT, Interrupts())
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            import slow_to_load  # type: ignore[import-not-found]

            assert slow_to_load.loaded
            time.sleep(5)
    finally:
        signal.signal(signal.SIGINT, before)
    assert sys.modules.pop("slow_to_load").loaded


def test_a_second_interruption_lets_the_end_go_on_and_a_third_ends_at_once() -> None:
    program = """
import signal, sys, time
from evo.console.interrupts import begin
signal.signal(signal.SIGINT, signal.default_int_handler)
begin()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    signal.raise_signal(signal.SIGTERM)
    print("in order", flush=True)
    signal.raise_signal(signal.SIGINT)
    print("never")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (130, "in order\n")
    assert ended.stderr == "evofabric: stopping\nevofabric: stopping, in a few seconds; once more ends it at once\n"
