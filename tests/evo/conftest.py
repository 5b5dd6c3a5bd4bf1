"""One finished run for the tests of what is made from a run's journal."""

from __future__ import annotations

import pytest

import evo.algorithm.nsga2
from evo.experiment.search import search
from evo.storage.history import History
from tests.evo.histories import Formula, small


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A finished run, small as it is with few samples among its candidates."""
    runs = tmp_path_factory.mktemp("runs of a search")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evo.algorithm.nsga2, "EARLY", 1)
        return History.of(search(small(runs), Formula()).folder)
