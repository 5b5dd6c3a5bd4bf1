"""One finished run for the tests of what is made from a run's journal."""

from __future__ import annotations

import pytest

from evo.experiment.search import search
from evo.storage.history import History
from tests.evo.histories import Formula, small


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A finished run."""
    runs = tmp_path_factory.mktemp("runs of a search")
    return History.of(search(small(runs), Formula()).folder)
