"""The ``evofabric`` command as often as tests want it, in a process that has loaded the packages already.

A fresh process takes seconds to load them, again and again; tests of what a command says need it only once.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

REPOSITORY = Path(__file__).resolve().parent.parent
PATIENCE = 120.0
"""Seconds that a command may take."""
LOADED = (
    "evo.cli.experiments",
    "evo.cli.results",
    "evo.cli.topology",
    "evo.console.search",
    "evo.report.artifacts",
    "evo.tracking.store",
    "topologies.models",
)
"""What is loaded before there is a command."""


class Commands:
    """A process that forks itself into a command whenever it is called."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.commands"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """What `evofabric` says and does in a folder."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        with TemporaryDirectory() as said:
            asked = {"folder": str(folder), "arguments": arguments, "environment": clean | environment, "said": said}
            assert self._server.stdin and self._server.stdout
            print(json.dumps(asked), file=self._server.stdin, flush=True)
            process = int(self._server.stdout.readline())
            late = not select.select([self._server.stdout], [], [], PATIENCE)[0]
            if late:
                os.killpg(process, signal.SIGKILL)
            code = int(self._server.stdout.readline())
            out, err = (Path(said, name).read_text() for name in ("1", "2"))
        assert not late, f"evofabric {' '.join(arguments)} takes more than {PATIENCE:.0f} seconds: {out}{err}"
        return subprocess.CompletedProcess(arguments, code, out, err)

    def close(self) -> None:
        """Let the process go."""
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait(60)


def become(folder: str, arguments: list[str], environment: Mapping[str, str], said: str) -> None:
    """Be a process as a shell would start one in a folder, whose output goes into files."""
    os.setsid()
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number in (1, 2):
        os.dup2(os.open(Path(said, str(number)), os.O_WRONLY | os.O_CREAT), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = ["evofabric", *arguments], folder


def serve() -> None:
    """For every line on the standard input become a command; written are its process, and how it ended."""
    import evofabric

    atexit.register(evofabric.end_at_once)
    for name in LOADED:
        import_module(name)
    while line := sys.stdin.readline():
        process = os.fork()
        if not process:
            become(**json.loads(line))
            evofabric.main()
            return
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
