"""Shared by all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Commands

os.environ.setdefault("OMP_NUM_THREADS", "1")  # idle threads waiting on each other make small tensors slow

# What Ray reads when it is imported, which a test module may do before there is a session; see cluster.ray_session.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell, where Ctrl-C is for others
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """PyTorch draws the same whenever a test runs, so that what failed once fails again."""
    import torch  # not above, where it would come before the threads are set

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray on this machine that all tests share, with at least two cores and two GPUs that are not there."""
    from cluster.ray_session import session

    here = str(Path(__file__).resolve().parent.parent)  # workers import evaluators from `tests`
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", here, prepend=os.pathsep)
        with session(None, workers=2, fake_gpus=2):
            yield


@pytest.fixture(scope="session")
def command() -> Iterator[Commands]:
    """The `evofabric` command: called with a folder and arguments it says what came of it."""
    commands = Commands()
    yield commands
    commands.close()
