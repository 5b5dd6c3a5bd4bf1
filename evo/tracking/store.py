"""MLflow, a view of the journal: everything filed here follows from a run's folder, so filing it twice changes nothing.

The only file that imports MLflow. It uses MLflow's client alone: the fluent functions keep global state and draw names
from the global ``random``.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evo.report.artifacts import write_artifacts
from evo.report.numbers import ratio
from evo.report.text import description, headline
from evo.storage.history import History
from evo.tracking.records import Point, RunRecord, model_name, run_records
from topologies.files import load
from topologies.topology import Topology

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "champion"
"""What the best registered version is called."""

_DATABASE = "mlflow.db"

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

_EXPERIMENT_NOTE = """Searches for sparse topologies. One row is one search; below it (press +) are the hand-derived
families as they were tuned for comparison.

- Columns worth adding: `test/champion_over_baseline` (below 1 evolution is better), `test/evolved_champion`,
`test/parallel_butterfly`, `test/random_search`, and the parameters `n_in`, `budget` and `seed`.
- In charts, `evolution/...` and `random_search/...` have candidates as steps, so they can be laid over each other.
- Every search's own page says in words what was found.
"""


def track(folder: Path, uri: str | None = None, show: Callable[[Store, History], str] | None = None) -> str:
    """File a run from its folder, adding what is missing, and return the id of its MLflow run.

    Parameters
    ----------
    folder:
        The run's.
    uri:
        The tracking store; by default the one that the run was tracked in.
    show:
        How its history is filed in a store; by default as a search, :meth:`Store.show`.

    Raises
    ------
    ValueError
        When the folder is not a run's, or the store cannot be used.
    """
    history = History.of(folder)
    if history.is_study and show is None:
        raise ValueError(f"{folder} is a study of scores, not a search: evofabric track files it")
    tracking = history.header.tracking
    where = uri or tracking_uri(tracking["uri"])
    try:
        store = Store(where, tracking["experiment"], history.folder.parent)
        return (show or Store.show)(store, history)
    except Exception as error:
        raise ValueError(f"MLflow in {where or history.folder.parent}: {reason(error)}") from error


def load_champion(name: str, uri: str | None = None) -> Topology:
    """The registered champion of a size and budget, for example ``load_champion("evofabric-32x32-b640")``.

    ``uri`` is the tracking store; by default the database in the folder ``runs``.

    Raises
    ------
    ValueError
        When there is no database.
    """
    runs = Path("runs")
    if uri is None and not (runs / _DATABASE).exists():
        raise ValueError(f"there is no MLflow database in {runs.resolve()}: say with uri= where it is")
    client = _client(uri, runs)
    from mlflow.artifacts import download_artifacts

    source = client.get_model_version_by_alias(name, ALIAS).source
    with tempfile.TemporaryDirectory() as folder:
        file = f"{source}/champion.safetensors"
        return load(download_artifacts(file, dst_path=folder, tracking_uri=uri or local_uri(runs)))


def tracking_uri(recipe: str | None) -> str | None:
    """The store that a recipe names, else the environment's; None for the database in the folder of runs."""
    return recipe or os.environ.get("MLFLOW_TRACKING_URI") or None


def local_uri(runs: Path) -> str:
    """The database of a folder of runs."""
    return f"sqlite:///{runs.resolve() / _DATABASE}"


@dataclass
class _Filed:
    """What a store is known to hold of a record."""

    run_id: str
    params: set[str]
    tags: dict[str, str] = field(default_factory=dict)
    points: set[Point] = field(default_factory=set)
    state: tuple[str, float | None] | None = None


class Store:
    """An MLflow store and what it is known to hold; the first use finds out, or makes the database."""

    def __init__(self, uri: str | None, experiment: str, runs: Path) -> None:
        self._client = _client(uri, runs)
        self._experiment = self._find_experiment(experiment, None if _is_server(uri) else runs / "mlflow-artifacts")
        self._filed: dict[str, _Filed] = {}

    def show(self, history: History) -> str:
        """File what is new in a history, all of it at its end; returns the id of the run's record."""
        search, *families = run_records(history)
        filed = self._find(search, {})
        note = {"mlflow.note.content": description(history, _pictures(filed.run_id))}
        self._file(replace(search, tags={**search.tags, **note}), filed)
        for record in families:
            below = self._find(record, {"mlflow.parentRunId": filed.run_id})
            self._file(record, below)
            self._close(record, below)
        if search.end is not None and filed.state != (search.status, search.end):
            self._keep(history, filed.run_id)
        self._close(search, filed)
        return filed.run_id

    def file(self, record: RunRecord, write: Callable[[Path], None]) -> str:
        """File a run of one record, with the artifacts that ``write`` makes in a folder; returns the record's id."""
        filed = self._find(record, {})
        self._file(record, filed)
        with tempfile.TemporaryDirectory() as name:
            write(Path(name))
            self._client.log_artifacts(filed.run_id, name)
        self._close(record, filed)
        return filed.run_id

    def _find_experiment(self, name: str, artifacts: Path | None) -> str:
        experiment = self._client.get_experiment_by_name(name)
        if experiment is not None and experiment.lifecycle_stage == "deleted":
            raise ValueError(
                f"the experiment {name!r} was deleted; bring it back with `mlflow experiments restore "
                f"--experiment-id {experiment.experiment_id}`, or name another with --set tracking.experiment=..."
            )
        if experiment is not None:
            return str(experiment.experiment_id)
        tags = {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": _EXPERIMENT_NOTE}
        return str(self._client.create_experiment(name, artifacts.as_uri() if artifacts else None, tags))

    def _find(self, record: RunRecord, tags: dict[str, str]) -> _Filed:
        """The run of a record: known, there already, or new."""
        if record.key not in self._filed:
            tags, start = {"evofabric.run": record.key, **tags}, _milliseconds(record.start)
            found = self._client.search_runs([self._experiment], f"tags.`evofabric.run` = '{record.key}'")
            run = found[0] if found else self._client.create_run(self._experiment, start, tags, record.name)
            self._filed[record.key] = _Filed(run.info.run_id, set(run.data.params))
        return self._filed[record.key]

    def _file(self, record: RunRecord, filed: _Filed) -> None:
        """Add parameters, tags and points; of a parameter the first value stays, as MLflow wants it."""
        from mlflow.entities import Metric, Param, RunTag

        tags = [RunTag(name, value[:8000]) for name, value in record.tags.items() if filed.tags.get(name) != value]
        params = [Param(name, value[:6000]) for name, value in record.params.items() if name not in filed.params]
        points = [point for point in record.points if point not in filed.points]
        metrics = [Metric(point.name, point.value, _milliseconds(point.time), point.step) for point in points]
        for start in range(0, max(len(tags), len(params), len(metrics)), 100):
            some = slice(start, start + 100)
            self._client.log_batch(filed.run_id, metrics[some], params[some], tags[some])
        filed.tags |= record.tags
        filed.params.update(record.params)
        filed.points.update(points)

    def _close(self, record: RunRecord, filed: _Filed) -> None:
        """File texts, status and end."""
        if filed.state == (record.status, record.end):
            return
        for name, text in record.texts.items():
            self._client.log_text(filed.run_id, text, name)
        if record.end is None:
            self._client.update_run(filed.run_id, record.status)
        else:
            self._client.set_terminated(filed.run_id, record.status, _milliseconds(record.end))
        filed.state = (record.status, record.end)

    def _keep(self, history: History, run_id: str) -> None:
        """Upload pictures and tables; of a finished run, register the champion."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_artifacts(history, folder)
            if history.table:
                _write_model(history, folder / "model")
            self._client.log_artifacts(run_id, name)
        if history.table:
            self._register(history, run_id)

    def _register(self, history: History, run_id: str) -> None:
        """Add the champion to the model registry, once; the best for its size and budget is the one called champion.

        Of the versions that were confirmed most carefully (training steps, then targets) that is the one with the least
        test error relative to the baseline's: at few steps the baseline itself may not have settled.
        """
        from mlflow.exceptions import MlflowException

        name, table = model_name(history), history.table
        assert table is not None
        try:
            self._client.get_registered_model(name)
        except MlflowException:
            self._client.create_registered_model(name, description=_about_model(history))
        versions = self._client.search_model_versions(f"name = '{name}'")
        if not any(version.run_id == run_id for version in versions):
            champion, baseline = table.first, table.baseline
            over = ratio(champion.error.mean, baseline.error.mean)
            new = self._client.create_model_version(
                name,
                f"{self._client.get_run(run_id).info.artifact_uri}/model",
                run_id,
                tags={
                    "error_over_baseline": "inf" if over is None else f"{over:.6f}",
                    "steps": str(history.settings["fidelity"]["validation_steps"]),
                    "targets": str(len(champion.errors)),
                    "digest": champion.topology.digest,
                },
                description=f"{headline(table)} ({history.folder.name})",
                await_creation_for=0,
            )
            versions.append(new)
        self._client.set_registered_model_alias(name, ALIAS, min(versions, key=_rank).version)


def prepare(runs: Path) -> str:
    """Make the database of a folder of runs, or wait until another process has made it; returns its address."""
    if not (runs / _DATABASE).exists():
        _client(None, runs)
    with _alone(runs):
        return local_uri(runs)


def _client(uri: str | None, runs: Path) -> MlflowClient:
    """A client whose store answers. The import takes seconds, and making a database several more."""
    for name, value in _QUIETLY.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    with nullcontext() if uri else _alone(runs):
        client = MlflowClient(uri or local_uri(runs), uri or local_uri(runs))
        client.search_experiments(max_results=1)
    return client


def _is_server(uri: str | None) -> bool:
    """Whether a store looks after itself and its artifacts; a database does not."""
    return uri is not None and uri.startswith(("http:", "https:", "databricks"))


@contextmanager
def _alone(runs: Path) -> Iterator[None]:
    """One process at a time: two that make one database at once break it."""
    with (runs / ".mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_model(history: History, folder: Path) -> None:
    """The champion as an MLflow model: the topology file, and the module that loads it."""
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import add_to_model
    from mlflow.types import Schema, TensorSpec

    folder.mkdir()
    (folder / "champion.safetensors").write_bytes(history.champion_file.read_bytes())
    ends = (history.settings["n_in"], history.settings["n_out"])
    inputs, outputs = (Schema([TensorSpec(np.dtype(np.float32), (-1, width))]) for width in ends)
    model = Model(signature=ModelSignature(inputs, outputs))
    add_to_model(model, loader_module="evo.tracking.pyfunc", data="champion.safetensors")  # type: ignore[no-untyped-call]
    model.save(str(folder / "MLmodel"))


def _rank(version: ModelVersion) -> tuple[float, ...]:
    """Registered versions by this come best first; one that somebody else added comes last."""
    tags = {"steps": "0", "targets": "0", "error_over_baseline": "inf", **version.tags}
    return (-int(tags["steps"]), -int(tags["targets"]), float(tags["error_over_baseline"]), int(version.version))


def _about_model(history: History) -> str:
    size, budget = history.size.replace("x", " × "), history.settings["budget"]
    return f"""Topologies for a {size} layer with {budget} trainable edges, one version a search. Of those confirmed
most carefully (training steps, targets), `{ALIAS}` has the least test error relative to the tuned baseline's.

`mlflow.pyfunc.load_model("models:/{model_name(history)}@{ALIAS}").get_raw_model()` is a torch module to put in place
of a dense layer; it is not trained yet."""


def _pictures(run_id: str) -> str:
    """Where MLflow's own server shows an artifact."""
    return f"get-artifact?run_uuid={run_id}&path={{}}"


def _milliseconds(time: float) -> int:
    return int(time * 1000)


def reason(error: BaseException) -> str:
    """What first went wrong, in one line."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
