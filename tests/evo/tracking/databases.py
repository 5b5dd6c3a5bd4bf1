"""What MLflow's database holds, without asking MLflow."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any


def rows(runs: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """What the database of a folder of runs says, without asking MLflow."""
    with sqlite3.connect(runs / "mlflow.db") as connection:
        return connection.execute(query, values).fetchall()


TABLES = ("runs", "metrics", "latest_metrics", "params", "tags", "experiments", "model_versions", "model_version_tags")


def contents(runs: Path) -> dict[str, list[tuple[Any, ...]]]:
    names = (*TABLES, "registered_model_aliases")
    return {name: sorted(rows(runs, f"select * from {name}"), key=repr) for name in names}
