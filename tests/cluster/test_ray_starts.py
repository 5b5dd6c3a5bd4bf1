"""Workers that do or do not start: on a cluster whose Python lies in a path with a blank, and later in none at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cluster import ray_log
from cluster.ray_resources import Share

CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""

DRIVER = """
import sys
from pathlib import Path
from cluster.ray_session import session
from cluster.testing import FINE, Faulty, tasks
from tests.cluster.threads import Threads

with session(sys.argv[1]):
    from cluster import ray_recruits
    from cluster.ray_pool import RayPool

    ray_recruits.READY_SECONDS = float(sys.argv[2])
    try:
        pool = RayPool(Threads(), workers=1)
    except ValueError as error:
        print(error)
    else:
        pool.submit(tasks(FINE))
        print(pool.wait()[0].answer.score.errors)
        pool.close()
"""

HERE = Path(__file__).resolve().parents[2]
DISABLED = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}


def clean() -> dict[str, str]:
    """What a shell that has not heard of Ray hands on, with a number of threads that is not one."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**plain, **DISABLED, "OMP_NUM_THREADS": "7", "PYTHONPATH": str(HERE)}


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a blank in its short name."""
    folder = Path(tempfile.mkdtemp(prefix="r ", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def python(home: Path) -> Path:
    """The Python of these tests at a path with a blank; its folder is a link, which can be replaced."""
    (home / "python").symlink_to(sys.prefix)
    return home / "python" / Path(sys.executable).relative_to(sys.prefix)


def workers_say(python: Path | str, address: str, seconds: float = 60.0, **environment: str) -> str:
    """Whether a pool on a cluster has a worker, and otherwise why not."""
    command = [str(python), "-c", DRIVER, address, str(seconds)]
    done = subprocess.run(command, env={**clean(), **environment}, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.ray
def test_a_blank_in_the_path_of_python_is_no_obstacle_and_what_workers_die_of_is_named(
    home: Path, python: Path
) -> None:
    command = [str(python), "-c", CLUSTER]
    with subprocess.Popen(
        command, env=clean(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as head:
        assert head.stdout is not None and head.stdin is not None
        address = head.stdout.readline().strip()
        assert workers_say(sys.executable, address) == "(1.0, 1.0)"

        job = '{"runtime_env": {"env_vars": {"MINE": "1"}}, "metadata": {}}'  # has Ray use a shell, without quotes
        said = workers_say(sys.executable, address, RAY_JOB_CONFIG_JSON_ENV_VAR=job)
        assert said.startswith("no Ray worker can start, the processes die; ")
        assert f": {str(home).split()[0]}: No such file or directory" in said

        (home / "python").unlink()
        broken = home / "python" / Path(sys.executable).relative_to(sys.prefix)
        broken.parent.mkdir(parents=True)
        broken.write_text("#!/bin/sh\necho no licence on this machine >&2\nexit 3\n")
        broken.chmod(0o755)
        said = workers_say(sys.executable, address, seconds=10)
        if "ModuleNotFoundError" in said:  # of a process that had been started in advance, while Python was there
            said = workers_say(sys.executable, address, seconds=10)
        assert said.startswith("no Ray worker was ready within 10 s: ") and "no licence on this machine" in said
        (home / "python" / "bin").rename(home / "bin")
        (home / "python").rmdir()
        (home / "python").symlink_to(sys.prefix)  # for the cluster's end
        head.stdin.close()


@pytest.mark.ray
def test_a_ray_of_our_own_starts_from_a_path_with_a_blank(python: Path) -> None:
    driver = DRIVER.replace("session(sys.argv[1])", "session(None)")
    done = subprocess.run([python, "-c", driver, "", "60"], env=clean(), capture_output=True, text=True, timeout=90)
    assert (done.stdout.strip(), done.stderr) == ("(1.0, 1.0)", "")


BASH = "bash: line 1: /opt/a: No such file or directory"
LATE = "[2026-11-26 02:23:51,159 E 26449 26449] (raylet) worker_pool.cc:660: Some workers of the worker process(27161) "
LATE += "have not registered within the timeout. The process is dead, probably it crashed during start."
MISSING = ["Traceback (most recent call last):", "ModuleNotFoundError: No module named 'ray'"]


@pytest.mark.parametrize(
    ("heard", "last", "dead"),
    [
        ([], None, None),
        ([("10.0.0.1", [BASH])], f"10.0.0.1: {BASH}", None),
        ([("10.0.0.1", [BASH]), ("10.0.0.2", [BASH, ""])], (both := f"10.0.0.1, 10.0.0.2: {BASH}"), both),
        ([("10.0.0.1", MISSING)], f"10.0.0.1: {MISSING[1]}", None),
        (
            [("10.0.0.1", MISSING), ("10.0.0.2", [BASH]), ("10.0.0.1", [LATE])],
            (different := f"10.0.0.1: {MISSING[1]}; 10.0.0.2: {BASH}"),
            different,
        ),
        ([("10.0.0.3", [BASH])], f"10.0.0.3: {BASH}", None),  # which has no room for workers
    ],
)
def test_the_last_words_of_processes_are_kept_by_node(
    heard: Sequence[tuple[str, list[str]]], last: str | None, dead: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_log, "_last", {})
    monkeypatch.setattr(ray_log, "nodes_with_room", lambda share: {"10.0.0.1", "10.0.0.2"})
    for address, lines in heard:
        ray_log._hear({"pid": "raylet", "is_err": True, "ip": address, "lines": lines})
    ray_log._hear({"pid": "1234", "is_err": True, "ip": "10.0.0.1", "lines": ["a worker's own words"]})
    ray_log._hear({"pid": "raylet", "is_err": False, "lines": ["Ray's page about a dead worker"]})
    assert ray_log.last_words(0.0) == last
    assert ray_log.dead_everywhere(Share()) == dead
    assert ray_log.last_words(float("inf")) is None
