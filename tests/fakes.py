"""Stand-ins that make a whole search cheap: evaluators that look a score up in the digest, a pool without order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cluster.in_process import InProcessPool
from cluster.pool import Pool
from evaluators.run import run
from evaluators.task import Evaluator, Fidelity, Outcome, Score, Split, Task
from evo.recipe import validate
from evo.settings import Settings
from evo.storage.evaluations import Evaluations
from evo.storage.header import new_header
from evo.storage.journal import Journal
from evo.storage.records import Record
from topologies import Topology

SEED = 3
"""Of the recipes below; the proof of a worker, by which evaluators are checked too, has seed 0."""


class HashEvaluator:
    """Errors that look random but are a function of topology, split and seed; ``calls`` remembers what was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Fidelity, Split]] = []

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """One error a target in (0, 1), at the first rate."""
        if seed:
            self.calls.append((topology.digest, fidelity, split))
        key = [int(topology.digest[:12], 16), list(Split).index(split), seed]
        return Score(tuple(np.random.default_rng(key).random(fidelity.targets).tolist()), fidelity.rates[0])


def doomed(topology: Topology) -> bool:
    """A third of all topologies, chosen by digest: evaluators that fail do so for these, on the search split."""
    return int(topology.digest, 16) % 3 == 0


class SometimesRaises(HashEvaluator):
    """Raises for the doomed."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """A score or an ArithmeticError."""
        score = super().evaluate(topology, fidelity, split, seed)
        if seed and split is Split.SEARCH and doomed(topology):
            raise ArithmeticError("too sparse for me")
        return score


class SometimesNotANumber(HashEvaluator):
    """Answers the doomed with one error that is not a number and others that nothing could beat."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """A score, perhaps with a NaN in it."""
        score = super().evaluate(topology, fidelity, split, seed)
        if seed and split is Split.SEARCH and doomed(topology):
            return Score((float("nan"), *(-1.0 for _ in score.errors[1:])), score.learning_rate)
        return score


class SleepyEvaluator(HashEvaluator):
    """Takes a tenth of a millisecond a step, and target, and rate."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """A score, after a while."""
        time.sleep(1e-4 * fidelity.targets * fidelity.steps * len(fidelity.rates))
        return super().evaluate(topology, fidelity, split, seed)


class ShufflingPool:
    """A pool that answers some of what it was asked, in an order of its own."""

    size = 3

    def __init__(self, evaluator: Evaluator, seed: int = 0) -> None:
        self._evaluator = evaluator
        self._waiting: list[Task] = []
        self._generator = np.random.default_rng(seed)

    @property
    def in_flight(self) -> int:
        """Tasks submitted and not answered yet."""
        return len(self._waiting)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Keep tasks."""
        self._waiting.extend(tasks)

    def wait(self) -> list[Outcome]:
        """Evaluate a random few of the tasks."""
        if not self._waiting:
            return []
        answered = range(self._generator.integers(1, len(self._waiting), endpoint=True))
        tasks = [self._waiting.pop(self._generator.integers(len(self._waiting))) for _ in answered]
        return run(self._evaluator, tasks, "shuffled")

    def close(self) -> None:
        """Drop what is waiting."""
        self._waiting.clear()


@contextmanager
def evaluations(
    folder: Path,
    evaluator: Evaluator,
    pool: Callable[[Evaluator], Pool] = InProcessPool,
    arrived: Callable[[Record], None] = lambda record: None,
) -> Iterator[Evaluations]:
    """Evaluations through the journal of a folder, which may have one from before."""
    with Journal(folder / "journal.jsonl", new_header(recipe(), HashEvaluator(), {}, "cpu")) as journal:
        recovered = journal.recovered()
        found = Evaluations(journal, pool(evaluator), arrived, recovered)
        found.learn(recovered)
        yield found


def recipe(n_in: int = 8, n_out: int = 8, budget: int = 40, **changes: Any) -> Settings:
    """A search of four small generations in this process: some 150 evaluations."""
    values: dict[str, Any] = {
        "seed": SEED,
        "n_in": n_in,
        "n_out": n_out,
        "budget": budget,
        "loop": {"generations": 4, "offspring": 6, "population": 8},
        "fidelity": {
            "targets": 2,
            "steps": 5,
            "validation_targets": 3,
            "validation_steps": 6,
            "test_targets": 4,
            "finalists": 3,
        },
        "cluster": {"pool": "in-process"},
    }
    for name, value in changes.items():
        values[name] = {**values.get(name, {}), **value} if isinstance(value, dict) else value
    return validate(values)
