"""Starting Ray, joining a cluster that is there, and what is said about one that is not; stopping by signal.

Drivers run in processes of their own, in a folder with a space in its name, with an evaluator from that folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster import ray_session
from cluster.ray_session import session

EVALUATOR = """
import os, time
from evaluators.task import Score

class Mine:
    def evaluate(self, topology, fidelity, split, seed):
        if seed == 2:
            print("noise", flush=True)
            time.sleep(3600)
        if seed == 0:
            return Score((0.0,))
        return Score((float(seed), float(os.environ["OMP_NUM_THREADS"])))
"""

DRIVER = """
import random, signal, sys
from cluster.ray_session import session
from evaluators.task import Fidelity, Split, Task
from mine import Mine
from topologies import butterfly

def stop(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job would ignore
random.seed(5)
before = random.getstate()
def task(number):
    fidelity = Fidelity(2 if number else 1, 1, (0.1,))
    return Task(topology=butterfly(4, 2), fidelity=fidelity, split=Split.SEARCH, seed=number, number=number)

try:
    with session(sys.argv[1] if len(sys.argv) > 1 else None):
        from cluster.ray_pool import RayPool, ray

        print(ray.get_runtime_context().gcs_address)
        pool = RayPool(Mine())
        pool.submit([task(1)])
        print(pool.wait()[0].answer.score.errors, flush=True)
        pool.submit([task(2)])
        print("waiting", flush=True)
        pool.wait()
except KeyboardInterrupt:
    print("stopped;", "random as it was" if random.getstate() == before else "random has changed")
    sys.exit(130)
except ValueError as error:
    sys.exit(f"refused: {error}")
"""

PATIENCE = 60.0
"""Seconds that a driver may take to start Ray and workers."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "mine.py").write_text(EVALUATOR)
    (folder / "driver.py").write_text(DRIVER)
    return folder


@contextmanager
def driver(folder: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A driver in a process group of its own, as a terminal would give it, told nothing about Ray but this."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = subprocess.Popen(
        [sys.executable, "driver.py", *arguments],
        cwd=folder,
        env={**clean, "OMP_NUM_THREADS": "7", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def at_work(process: subprocess.Popen[str]) -> str:
    """Let a driver evaluate a task and wait for another; the address of its Ray."""
    assert process.stdout is not None
    address, result, state = (process.stdout.readline().rstrip() for _ in range(3))
    assert (result, state) == ("(1.0, 1.0)", "waiting")
    return address


def ends_well(process: subprocess.Popen[str]) -> None:
    """See that a driver that was sent a signal ends promptly and without another word."""
    start = time.monotonic()
    out, err = process.communicate(timeout=15)
    assert (process.returncode, out, err) == (130, "stopped; random as it was\n", "")
    assert time.monotonic() - start < 10


def address_on_the_network() -> str:
    """How others see this machine; a loopback address where there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


@pytest.mark.ray
def test_a_ray_of_our_own_is_on_loopback_only_and_ends_silently_on_ctrl_c(folder: Path) -> None:
    with driver(folder) as process:
        host, _, port = at_work(process).rpartition(":")
        socket.create_connection((host, int(port)), timeout=5).close()
        outside = address_on_the_network()
        if not outside.startswith("127."):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((outside, int(port)), timeout=5)
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the workers as well
        ends_well(process)


@pytest.fixture(scope="module")
def running_cluster() -> Iterator[tuple[str, str]]:
    """The address and token of a cluster that somebody else started, in another folder."""
    elsewhere = tempfile.mkdtemp(prefix="ray")  # short, as names of sockets must be
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    token = "0123456789abcdef" * 4
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ours = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_USAGE_STATS_ENABLED": "0"}
    home = Path(elsewhere) / "python"  # Ray cannot start workers from a path with a space, which ours may have
    home.symlink_to(sys.prefix)
    python = home / Path(sys.executable).relative_to(sys.prefix)
    command = f"start --head --block --port {port} --num-cpus 2 --include-dashboard false --temp-dir {elsewhere}"
    head = subprocess.Popen(
        [python, "-c", "import sys; from ray.scripts.scripts import main; sys.exit(main())", *command.split()],
        cwd=elsewhere,
        env={**clean, **ours},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert head.stdout is not None
        assert any("Ray runtime started" in line for line in head.stdout)
        threading.Thread(target=head.stdout.read, daemon=True).start()
        yield f"127.0.0.1:{port}", token
    finally:
        head.terminate()
        try:
            head.wait(10)
        except subprocess.TimeoutExpired:
            head.kill()
            head.wait()
        shutil.rmtree(elsewhere, ignore_errors=True)


@pytest.mark.ray
def test_a_running_cluster_is_joined_with_its_token_and_left_on_sigterm(
    folder: Path, running_cluster: tuple[str, str]
) -> None:
    address, token = running_cluster
    with driver(folder, address, RAY_AUTH_TOKEN=token) as process:
        at_work(process)
        process.terminate()
        ends_well(process)


@pytest.mark.ray
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "there is no token in ~/.ray/auth_token or RAY_AUTH_TOKEN"),
        ({"RAY_AUTH_TOKEN": "fedcba9876543210" * 4}, "its token is not the one here"),
        ({"RAY_AUTH_MODE": "disabled"}, "it wants a token"),
    ],
)
def test_without_its_token_a_cluster_is_not_joined(
    environment: dict[str, str], said: str, folder: Path, running_cluster: tuple[str, str]
) -> None:
    address, _ = running_cluster
    start = time.monotonic()
    with driver(folder, address, **{"HOME": str(folder), **environment}) as process:
        _, err = process.communicate(timeout=30)
    assert err.count("\n") == 1 and err.startswith(f"refused: no Ray cluster lets us in at {address}: {said}")
    assert time.monotonic() - start < ray_session.JOIN_SECONDS, "what is known at once is said at once"


@pytest.mark.ray
def test_a_ray_job_uses_the_cluster_that_it_runs_on(folder: Path, running_cluster: tuple[str, str]) -> None:
    address, token = running_cluster
    submitted = {"RAY_JOB_CONFIG_JSON_ENV_VAR": '{"runtime_env": {}, "metadata": {}}', "RAY_ADDRESS": address}
    with driver(folder, RAY_AUTH_TOKEN=token, **submitted) as process:  # as `ray job submit` starts it
        assert at_work(process).rpartition(":")[2] == address.rpartition(":")[2]


def test_a_ray_job_does_not_keep_results_in_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").touch()
    command = [sys.executable, "-m", "evofabric", "search", "mine.toml"]
    environment = {**os.environ, "RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"}
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert found.returncode == 2 and found.stderr.count("\n") == 1
    assert "inside a Ray job runs is a folder that Ray deletes" in found.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize(
    "address", ["", "here", "localhost:", ":6379", "localhost:six", "localhost:99999", "ray://a:1"]
)
def test_a_malformed_address_is_refused_with_an_example(address: str, joining: None) -> None:
    with pytest.raises(ValueError, match=r"use 'auto' or HOST:PORT, for example 10.0.0.5:6379$"), session(address):
        pass


def test_an_address_where_nothing_listens_is_refused_at_once(joining: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(ValueError, match=rf"^nothing answers at the Ray address 127.0.0.1:{port} .*`ray start`"):
        session(f"127.0.0.1:{port}").__enter__()
    assert time.monotonic() - start < 5


@pytest.mark.ray
def test_an_address_where_something_else_listens_is_refused_in_time(
    joining: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ray_session.CONNECT_SECONDS + ray_session.JOIN_SECONDS < 30
    monkeypatch.setattr(ray_session, "JOIN_SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=rf"^no Ray cluster lets us in at 127.0.0.1:{port}: no answer within 2 s$"):
            session(f"127.0.0.1:{port}").__enter__()


def test_a_process_that_has_had_a_ray_of_its_own_cannot_join_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    with pytest.raises(ValueError, match="start a new process"):
        session("auto").__enter__()


@pytest.fixture
def joining(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not started a Ray of its own."""
    monkeypatch.delenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", raising=False)
