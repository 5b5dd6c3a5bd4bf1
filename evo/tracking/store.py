"""MLflow, a view of the journal: all of it follows from a run's folder, so filing it twice changes nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from evo.kinds import Kind, kind_of
from evo.report.artifacts import write_artifacts
from evo.report.description import description
from evo.storage.history import History
from evo.tracking import view
from evo.tracking.client import client, is_server, reason, tracking_uri
from evo.tracking.records import Point, RunRecord, run_records
from evo.tracking.registry import register, write_model

_EXPERIMENT_NOTE = """Searches for sparse topologies. One row is one search; below it (press +) are the hand-derived
families as they were tuned for comparison.

- The list that `evofabric ui` opens shows the champion's test error, the baseline's, and the one over the other (below
1 evolution is better). Charts show evolution and random search over the number of candidates.
- Every search's own page says in words what was found, and its artifacts have the final table.
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
    if kind_of(history.settings) is not Kind.SEARCH and show is None:
        raise ValueError(f"{folder} is a study, not a search for a topology: evofabric track files it")
    tracking = history.header.tracking
    where = uri or tracking_uri(tracking["uri"])
    try:
        store = Store(where, tracking["experiment"], history.folder.parent)
        return (show or Store.show)(store, history)
    except Exception as error:
        raise ValueError(f"MLflow in {where or history.folder.parent}: {reason(error)}") from error


@dataclass
class _Filed:
    """What a store is known to hold of a record."""

    run_id: str
    params: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)
    points: set[Point] = field(default_factory=set)
    state: tuple[str, float | None] | None = None


class Store:
    """An MLflow store and what it is known to hold; the first use finds out, or makes the database."""

    def __init__(self, uri: str | None, experiment: str, runs: Path) -> None:
        self._client = client(uri, runs)
        self._experiment = self._find_experiment(experiment, None if is_server(uri) else runs / "mlflow-artifacts")
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
        tags = {
            "mlflow.experimentKind": "custom_model_development",
            "mlflow.note.content": _EXPERIMENT_NOTE,
            view.TAG: view.state(),
        }
        if experiment is None:
            return str(self._client.create_experiment(name, artifacts.as_uri() if artifacts else None, tags))
        if experiment.tags.get(view.TAG) != tags[view.TAG]:  # of an older version, or never made
            self._client.set_experiment_tag(experiment.experiment_id, view.TAG, tags[view.TAG])
        return str(experiment.experiment_id)

    def _find(self, record: RunRecord, tags: dict[str, str]) -> _Filed:
        """The run of a record: known, there already, or new."""
        if record.key not in self._filed:
            tags, start = {"evofabric.run": record.key, **tags}, _milliseconds(record.start)
            found = self._client.search_runs([self._experiment], f"tags.`evofabric.run` = '{record.key}'")
            run = found[0] if found else self._client.create_run(self._experiment, start, tags, record.name)
            self._filed[record.key] = _Filed(run.info.run_id, dict(run.data.params))
        return self._filed[record.key]

    def _file(self, record: RunRecord, filed: _Filed) -> None:
        """Add parameters, tags and points.

        Of a parameter the first value stays, as MLflow wants it; another one, as the digest of a search that was
        extended, becomes a tag of the same name.
        """
        from mlflow.entities import Metric, Param, RunTag

        values = {name: value[:6000] for name, value in record.params.items()}
        changed = {name: value for name, value in values.items() if filed.params.get(name, value) != value}
        wanted = {**record.tags, **changed}
        tags = [RunTag(name, value[:8000]) for name, value in wanted.items() if filed.tags.get(name) != value]
        params = [Param(name, value) for name, value in values.items() if name not in filed.params]
        points = [point for point in record.points if point not in filed.points]
        metrics = [Metric(point.name, point.value, _milliseconds(point.time), point.step) for point in points]
        for start in range(0, max(len(tags), len(params), len(metrics)), 100):
            some = slice(start, start + 100)
            self._client.log_batch(filed.run_id, metrics[some], params[some], tags[some])
        filed.tags |= wanted
        filed.params = values | filed.params
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
                write_model(history, folder / "model")
            self._client.log_artifacts(run_id, name)
        if history.table:
            register(self._client, history, run_id)


def _pictures(run_id: str) -> str:
    """Where MLflow's own server shows an artifact."""
    return f"get-artifact?run_uuid={run_id}&path={{}}"


def _milliseconds(time: float) -> int:
    return int(time * 1000)
