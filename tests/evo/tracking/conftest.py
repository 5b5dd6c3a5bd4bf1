"""Folders of runs with an empty database."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evo.tracking.client import prepare


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, which takes seconds to make."""
    runs = tmp_path_factory.mktemp("template")
    prepare(runs)
    return runs / "mlflow.db"


@pytest.fixture
def runs(tmp_path: Path, database: Path) -> Path:
    """A folder of runs with an empty database; the name has a blank in it."""
    folder = tmp_path / "my runs"
    folder.mkdir()
    shutil.copy(database, folder)
    return folder
