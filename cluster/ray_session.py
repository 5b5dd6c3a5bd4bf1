"""A connection to Ray: one started here for this program, or a cluster that is already running."""

from __future__ import annotations

import logging
import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REACH_SECONDS = 10.0
"""How long an address may take to answer before it counts as unreachable."""
CONNECT_SECONDS = 20.0
"""How long a reachable cluster may take to let us in."""


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def session(address: str | None, workers: int | None = None, fake_gpus: int | None = None) -> Iterator[None]:
    """Be connected to Ray for the length of a ``with`` block.

    Parameters
    ----------
    address:
        None starts a Ray of our own on loopback; ``"auto"`` finds one running here; ``"HOST:PORT"`` names one.
    workers:
        Cores that a Ray of our own offers; by default all that this process may use.
    fake_gpus:
        GPUs that a Ray of our own pretends to have, for tests of scheduling.

    Raises
    ------
    ValueError
        When there is no cluster at the address, within half a minute.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the future default, without its warning
    os.environ.setdefault("RAY_AUTH_MODE", "disabled" if address is None else "token")
    if address is not None and address != "auto":
        _check_reachable(address)
    drawn = random.getstate()  # Ray draws names from the global generator, which belongs to the user
    import ray

    try:
        if address is None:
            ray.init(
                address="local",
                num_cpus=workers or usable_cores(),
                num_gpus=fake_gpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _node_ip_address="127.0.0.1",
            )
        else:
            os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(int(CONNECT_SECONDS)))
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ValueError(f"no Ray cluster at {address!r}: {_first_line(error)}") from error
    finally:
        random.setstate(drawn)
    try:
        yield
    finally:
        drawn = random.getstate()
        ray.shutdown()
        random.setstate(drawn)


def worker_environment() -> dict[str, str]:
    """Environment of every worker: modules of the folder we were started in can be imported there too."""
    here = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join(part for part in (str(Path.cwd()), here) if part)}


def _check_reachable(address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"Ray address {address!r}: use 'auto' or HOST:PORT, for example 10.0.0.5:6379")
    try:
        socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"no Ray cluster answers at {address} ({_first_line(error)}): is `ray start` running?"
        ) from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
