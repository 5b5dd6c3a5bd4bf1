"""MLflow's web interface for a folder of runs, on this machine only, in its lightest form: two processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

from evo.tracking.client import prepare
from evo.tracking.view import page

HOST = "127.0.0.1"
_LIGHT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PYTHONWARNINGS": "ignore",
}
_START = 120.0
"""Seconds that a server may take to answer."""


def serve_ui(runs: Path, port: int, when_ready: Callable[[], None] = lambda: None) -> None:
    """Serve until Ctrl-C; once it answers, calls ``when_ready`` and prints the address.

    Raises
    ------
    ValueError
        When there is no such folder or port, the port is in use (the message names a free one), or the server ends.
    """
    if not runs.is_dir():
        raise ValueError(f"there is no folder of runs at {runs}: start a search, or name the folder with --runs")
    if not 1 <= port <= 65535:
        raise ValueError(f"port {port}: ports are 1 to 65535, for example {_free_port()}")
    if not _is_free(port):
        raise ValueError(f"port {port} is in use: choose another, for example --port {_free_port()}")
    with tempfile.TemporaryFile("w+") as words:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *_options(prepare(runs), port)],
            env={**_LIGHT, **os.environ},
            stdout=words,
            stderr=words,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the server and its worker
        )
        try:
            _wait(server, port)
            if server.poll() is None:
                when_ready()
                print(f"MLflow shows {runs.resolve()} at {_page(port)} (Ctrl-C ends it)", flush=True)
                server.wait()
            words.seek(0)
            raise ValueError("MLflow's server ended: " + (words.read().strip().splitlines() or ["without a word"])[-1])
        except KeyboardInterrupt:
            print()
        finally:
            _end(server)


def _options(uri: str, port: int) -> list[str]:
    network = ["--host", HOST, "--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning"]
    return ["--backend-store-uri", uri, *network]


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    """Until the server answers, has ended, or has used up its time."""
    late = time.monotonic() + _START
    while _is_free(port) and server.poll() is None:
        if time.monotonic() > late:
            raise ValueError(f"MLflow's server does not answer on port {port} after {_START:.0f} s")
        time.sleep(0.2)


def _page(port: int) -> str:
    """The address of the searches tracked last: MLflow's own first page is about language models."""
    address = f"http://{HOST}:{port}"
    query = {"max_results": 1, "order_by": ["last_update_time DESC"], "filter": "attribute.name != 'Default'"}
    request = Request(
        f"{address}/api/2.0/mlflow/experiments/search", json.dumps(query).encode(), {"Content-Type": "application/json"}
    )
    directly = build_opener(ProxyHandler({}))
    try:
        with directly.open(request, timeout=10) as answer:
            found = json.load(answer).get("experiments", [])
    except OSError:
        return address
    place = page(found[0]["experiment_id"]) if found else "/experiments?workflowType=machine_learning"
    return f"{address}/#{place}"


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server and its worker, at last by force."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, kind)
            server.wait(10)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _is_free(port: int) -> bool:
    """Whether nothing listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
