"""A connection to Ray: one started here for this program, or a cluster that is already running."""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CONNECT_SECONDS = 5.0
"""How long an address may take to accept a connection."""
JOIN_SECONDS = 22.0
"""How long whoever accepts it may take to let us in as a Ray cluster."""

LONGEST_FOLDER = 30
"""Bytes that the path of the temporary folder may have: Ray adds up to 76, and a socket's name has at most 107."""
SHORT_FOLDER = "/tmp/ray"

_log = logging.getLogger(__name__)

_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""At "0" Ray listens on 127.0.0.1 only, as it does by default on Windows and macOS; otherwise on every interface."""

_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets it for whatever `ray job submit` starts, and for nothing else."""

_JOIN = """
import logging, sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
except Exception as error:
    sys.exit(" ".join(str(error).split()))
"""

_REFUSED = "InvalidAuthToken"
"""What a cluster says to whoever has not its token."""


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_ray_job() -> bool:
    """Whether `ray job submit` started this process: on a node of a cluster, in a folder that Ray will delete."""
    return _JOB in os.environ


@contextmanager
def session(address: str | None, workers: int | None = None, fake_gpus: int | None = None) -> Iterator[None]:
    """Be connected to Ray for the length of a ``with`` block; a connection that this process has already is used.

    Workers can import modules of the current folder.

    Parameters
    ----------
    address:
        None starts a Ray of our own on loopback, or inside a Ray job joins the cluster of the job; ``"auto"`` finds
        one running here; ``"HOST:PORT"`` names one. A cluster is joined with a token unless ``RAY_AUTH_MODE`` says
        otherwise.
    workers:
        Cores that a Ray of our own offers at least; it offers all that this process may use.
    fake_gpus:
        GPUs that a Ray of our own pretends to have, for tests of scheduling; by default the real ones.

    Raises
    ------
    ValueError
        When there is no cluster at the address, within half a minute.
    """
    if address is None and in_ray_job():
        address = "auto"  # workers of a second Ray would look there for the job's files, in vain
    _set_environment(address)
    if address is not None:
        _check_joinable(address)
    import ray

    from cluster import ray_log

    ray_log.listen()
    if address is None and ray.is_initialized():
        yield
        return
    own: dict[str, Any] = {}
    if address is None:
        own = {"num_cpus": max(workers or 1, usable_cores()), "num_gpus": fake_gpus, "include_dashboard": False}
        own |= _short_temporary_folder()
    try:
        with _undisturbed(), _interrupts_wait() as interrupted:
            ray.init(
                address=address or "local",
                log_to_driver=True,
                logging_level=logging.ERROR,
                **own,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        whose = "a Ray of our own does not start" if address is None else f"cannot join the Ray cluster at {address}"
        raise ValueError(f"{whose}: {' '.join(str(error).split())}") from error
    try:
        if interrupted.is_set():
            raise KeyboardInterrupt
        yield
    finally:
        with _undisturbed(), _interrupts_wait():
            ray.shutdown()


def _short_temporary_folder() -> dict[str, str]:
    """Where a Ray of our own keeps its sockets, if the usual folder's path is too long for the names of sockets."""
    by_default = "/tmp" if sys.platform == "darwin" else tempfile.gettempdir()  # as Ray itself chooses
    usual = Path(os.environ.get("RAY_TMPDIR") or by_default)
    if len(os.fsencode(usual)) <= LONGEST_FOLDER:
        return {}
    _log.warning("the temporary folder %s has too long a path for Ray's sockets: %s is used", usual, SHORT_FOLDER)
    return {"_temp_dir": SHORT_FOLDER}


def _set_environment(address: str | None) -> None:
    """Say what Ray reads when it is first imported, where the user has not.

    On loopback nobody else can connect, so no token is needed; Ray would leave one in the home folder. Where Ray was
    imported before, it may listen on every interface, and its own default, a token, stands.
    """
    if address is not None and os.environ.get(_LOOPBACK) == "0":
        raise ValueError(f"this process has had a Ray on loopback and cannot join {address}: start a new process")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the future default, without its warning
    if "ray" not in sys.modules:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled" if address is None else "token")
        if address is None:
            os.environ.setdefault(_LOOPBACK, "0")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep what Ray would change but belongs to the user: the state of ``random`` and what SIGTERM does."""
    state, on_sigterm = random.getstate(), signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        random.setstate(state)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)


@contextmanager
def _interrupts_wait() -> Iterator[threading.Event]:
    """Have Ctrl-C wait until Ray is up or down; the event tells whether it came. Cut off in between, Ray crashes."""
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def note(*_: object) -> None:
        if not came.is_set():
            _log.warning("stopping, in a few seconds")
        came.set()

    usual = signal.signal(signal.SIGINT, note)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, usual)


def _check_joinable(address: str) -> None:
    """Raise ValueError unless a Ray cluster lets us in.

    Tried in a process of its own: where an address answers but is no cluster that wants us, Ray waits for minutes or
    ends the whole process.
    """
    if address != "auto":
        _check_answers(address)
    command, said = [sys.executable, "-c", _JOIN, address], ""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as trial:
        patience = threading.Timer(JOIN_SECONDS, trial.kill)
        patience.start()
        try:
            for line in trial.stderr or ():
                said += line
                if _REFUSED in line:
                    break  # Ray would ask again and again
            else:
                trial.wait()
        finally:
            patience.cancel()
            trial.kill()
    if trial.returncode:
        if trial.returncode < 0:
            said += f"\nno answer within {JOIN_SECONDS:.0f} s"
        raise ValueError(f"no Ray cluster lets us in at {address}: {_gist(said)}")


def _gist(said: str) -> str:
    """What to do about a failed attempt, or its last line."""
    if _REFUSED in said and os.environ.get("RAY_AUTH_MODE") == "disabled":
        return "it wants a token, and with RAY_AUTH_MODE=disabled none is shown"
    if _REFUSED in said:
        return "its token is not the one here; copy the cluster's into ~/.ray/auth_token or RAY_AUTH_TOKEN"
    if "no authentication token was found" in said:
        return "there is no token in ~/.ray/auth_token or RAY_AUTH_TOKEN; RAY_AUTH_MODE=disabled joins one without"
    return said.strip().splitlines()[-1]


def _check_answers(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or ":" in host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError(f"Ray address {address!r}: use 'auto' or HOST:PORT, for example 10.0.0.5:6379")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ValueError(f"nothing answers at the Ray address {address} ({error}): is `ray start` running?") from None
