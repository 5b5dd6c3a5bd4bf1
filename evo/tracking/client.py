"""MLflow's client as we use it: quiet, sending nothing home, and the only one to make a database at a time.

The client alone is used: MLflow's fluent functions keep global state and draw names from the global ``random``.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


DATABASE = "mlflow.db"


_QUIETLY = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
}
"""How MLflow is used unless the user's environment says otherwise: it sends nothing home, is quiet, and gives up soon
on a server that does not answer (trying again is our own business, and must not draw from the global ``random``)."""


def tracking_uri(recipe: str | None) -> str | None:
    """The store that a recipe names, else the environment's; None for the database in the folder of runs."""
    return recipe or os.environ.get("MLFLOW_TRACKING_URI") or None


def local_uri(runs: Path) -> str:
    """The database of a folder of runs."""
    return f"sqlite:///{runs.resolve() / DATABASE}"


def prepare(runs: Path) -> str:
    """Make the database of a folder of runs, or wait until another process has made it; returns its address."""
    if not (runs / DATABASE).exists():
        client(None, runs)
    with _alone(runs):
        return local_uri(runs)


def client(uri: str | None, runs: Path) -> MlflowClient:
    """A client whose store answers. The import takes seconds, and making a database several more."""
    for name, value in _QUIETLY.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    with nullcontext() if uri else _alone(runs):
        client = MlflowClient(uri or local_uri(runs), uri or local_uri(runs))
        client.search_experiments(max_results=1)
    return client


def is_server(uri: str | None) -> bool:
    """Whether a store looks after itself and its artifacts; a database does not."""
    return uri is not None and uri.startswith(("http:", "https:", "databricks"))


@contextmanager
def _alone(runs: Path) -> Iterator[None]:
    """One process at a time: two that make one database at once break it."""
    with (runs / ".mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def reason(error: BaseException) -> str:
    """What first went wrong, in one line."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
