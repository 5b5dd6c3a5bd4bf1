"""The faults of whoever keeps the MLflow records: the search goes on, and in the end nothing is missing or doubled."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from evo.tracking.client import local_uri, prepare
from evo.tracking.store import track
from tests.chaos import evaluator
from tests.chaos.rounds import Dice, interrupted_again, stopped
from tests.chaos.stage import KILLED, REPOSITORY, Stage

TABLES = ("runs", "metrics", "latest_metrics", "params", "tags", "model_versions")


def server_goes_away(stage: Stage, dice: Dice) -> str:
    """MLflow's server is killed while the search runs, and started again; the driver is killed as well."""
    stage.runs.mkdir()
    prepare(stage.runs)
    server = Server(stage.runs)
    stage.tracked, stage.options = True, ["--set", f"tracking.uri={server.uri}"]
    stage.environment = {evaluator.SLOWLY: "0.1"}
    place = int(dice.integers(10, 60))

    def beside() -> None:
        if not stage.fallen and len(stage.notes("began")) >= place:
            server.go("away")
            evaluator.note("fell", stage.diary, place="the server")
        elif not server.answers and "the search goes on" in stage.said:
            server.go("back")

    stage.beside = beside
    try:
        assert stage.drive(moments=[(int(dice.integers(120, 160)), 0.0, "kill")]) == KILLED
        assert server.answers, stage.story()
        assert stage.output[0].count("the search goes on") == 1, stage.story()
        stage.finish()
        nothing_is_missing_or_doubled(stage, server.uri)
    finally:
        server.close()
    return f"the server after {place} evaluations, later the driver"


def database_locked(stage: Stage, dice: Dice) -> str:
    """Somebody else has the database for a while."""
    stage.runs.mkdir()
    prepare(stage.runs)
    stage.tracked, stage.environment = True, {evaluator.SLOWLY: "0.2"}
    place, holder = int(dice.integers(10, 60)), sqlite3.connect(stage.runs / "mlflow.db", isolation_level=None)

    def beside() -> None:
        if not stage.fallen and len(stage.notes("began")) >= place:
            holder.execute("begin exclusive")
            evaluator.note("fell", stage.diary, place="the database")
        elif holder.in_transaction and "the search goes on" in stage.said:
            holder.execute("rollback")

    stage.beside = beside
    try:
        stage.finish()
    finally:
        holder.close()
    assert stage.output[0].count("the search goes on") == 1 and "locked" in stage.output[0], stage.story()
    nothing_is_missing_or_doubled(stage, None)
    return f"after {place} evaluations"


def stopped_while_tracked(stage: Stage, dice: Dice) -> str:
    """Ctrl-C leaves the last records for later, a second Ctrl-C even more; they are filed when the run goes on."""
    stage.runs.mkdir()
    prepare(stage.runs)
    stage.tracked = True
    where = (interrupted_again if dice.integers(2) else stopped("interrupt"))(stage, dice)
    stage.finish()
    nothing_is_missing_or_doubled(stage, None)
    return where


def nothing_is_missing_or_doubled(stage: Stage, uri: str | None) -> None:
    """See that what was filed while the search ran is what its journal gives afterwards."""
    shown = contents(stage.runs)
    points = [(run, key, step) for key, _, _, run, step, *_ in rows(stage.runs, "select * from metrics")]
    assert points and len(set(points)) == len(points)
    assert [status for (status,) in rows(stage.runs, "select status from runs")].count("FINISHED") == len(shown["runs"])
    track(stage.run, uri)
    assert contents(stage.runs) == shown


def contents(runs: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that a database holds."""
    return {name: sorted(rows(runs, f"select * from {name}"), key=repr) for name in TABLES}


def rows(runs: Path, query: str) -> list[tuple[Any, ...]]:
    """What the database of a folder of runs says, without asking MLflow."""
    with sqlite3.connect(runs / "mlflow.db") as connection:
        return connection.execute(query).fetchall()


class Server:
    """MLflow's own server, which can be made to go away."""

    def __init__(self, runs: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.uri, self.answers = f"http://127.0.0.1:{port}", True
        served = {
            "FILE_STORE": local_uri(runs),
            "REGISTRY_STORE": local_uri(runs),
            "ARTIFACT_ROOT": "mlflow-artifacts:/",
            "SERVE_ARTIFACTS": "true",
            "ARTIFACT_DESTINATION": (runs / "served").as_uri(),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.tracking_server", str(port)],
            cwd=REPOSITORY,
            env={
                **os.environ,
                "MLFLOW_DISABLE_TELEMETRY": "true",
                **{f"_MLFLOW_SERVER_{name}": value for name, value in served.items()},
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._hear("back")

    def go(self, where: str) -> None:
        """Be "away", or "back" again."""
        assert self._process.stdin
        print(where, file=self._process.stdin, flush=True)
        self._hear(where)
        self.answers = where == "back"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _hear(self, what: str) -> None:
        assert self._process.stdout and self._process.stdout.readline().strip() == what
