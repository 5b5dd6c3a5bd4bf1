"""The command that shows runs in a browser: what it starts, and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evo.tracking.ui import serve_ui

SERVER = """
import http.server, json, os, pathlib, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
pathlib.Path("started.json").write_text(json.dumps({"arguments": sys.argv[1:], "environment": dict(os.environ)}))
http.server.HTTPServer(("127.0.0.1", port), http.server.BaseHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The main program of a stand-in for MLflow; the folder it is in is the working directory."""
    for name in ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "mlflow"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mlflow.db").touch()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield package / "__main__.py"
    signal.signal(signal.SIGINT, before)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def press_ctrl_c_once_it_answers(port: int) -> None:
    late = time.monotonic() + 20
    while not answers(port) and time.monotonic() < late:
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)


def test_it_starts_the_light_form_on_this_machine_only_and_ctrl_c_ends_it(
    stand_in: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stand_in.write_text(SERVER)
    port = free_port()
    threading.Thread(target=press_ctrl_c_once_it_answers, args=(port,), daemon=True).start()
    serve_ui(Path("runs"), port)
    assert not answers(port)
    assert f"http://127.0.0.1:{port}" in capfd.readouterr().out
    started = Path("started.json").read_text()
    for part in (
        '"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"',
        '"MLFLOW_DISABLE_TELEMETRY": "true"',
        '"--workers", "1"',
        '"--host", "127.0.0.1"',
        f"sqlite:///{Path('runs').resolve()}/mlflow.db",
    ):
        assert part in started, part


def test_a_server_that_does_not_start_is_one_clear_line(stand_in: Path) -> None:
    stand_in.write_text("import sys; print('first words'); sys.exit('the database is from the future')")
    with pytest.raises(ValueError, match=r"^MLflow's server ended: the database is from the future$"):
        serve_ui(Path("runs"), free_port())


def test_a_port_in_use_is_refused_with_a_free_one(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf"port {port} is in use: .* --port (\d+)") as caught:
            serve_ui(tmp_path, port)
    offered = int(str(caught.value).rsplit(" ", 1)[1])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", offered))


def test_a_folder_or_port_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder of runs"):
        serve_ui(tmp_path / "elsewhere", 5000)
    with pytest.raises(ValueError, match="1 to 65535"):
        serve_ui(tmp_path, 70000)
