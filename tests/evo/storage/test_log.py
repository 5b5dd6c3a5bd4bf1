"""What a run's log tells afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluators.task import Fidelity, Score, Split
from evo.experiment.search import search
from evo.storage.log import LOG
from tests.fakes import HashEvaluator, recipe
from topologies.topology import Topology


class Moody(HashEvaluator):
    """Fails on one candidate in five, and ends everything at the test table."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        if seed and int(topology.digest, 16) % 5 == 0:
            raise RuntimeError("a mood")
        if split is Split.TEST:
            raise KeyboardInterrupt
        return super().evaluate(topology, fidelity, split, seed)


def test_the_log_tells_of_phases_generations_failures_and_the_end(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(recipe(), Moody(), folder=tmp_path)
    text = (tmp_path / LOG).read_text()
    for words in ("phase: tune clos", "evolution: generation 1 processed", "failed: RuntimeError: a mood", "KILLED"):
        assert words in text


def test_the_reason_of_a_failed_search_is_kept_with_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no topology to begin with"):
        search(recipe(bounds={"max_depth": 1}), HashEvaluator(), folder=tmp_path)
    text = (tmp_path / LOG).read_text()
    assert "Traceback" in text and "no topology to begin with is within the bounds" in text and "FAILED" in text
