"""The search's loop set up for measuring what it costs: a cheap evaluator, any pool, breeding that can be skipped."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from cluster.in_process import InProcessPool
from cluster.pool import Pool
from evaluators.rng import generator
from evo.algorithm.individual import Candidate
from evo.algorithm.nsga2 import Policy, Rules, State
from evo.algorithm.selection import tournament
from evo.experiment.baselines import best_member, tuned
from evo.experiment.rules import rules_of
from evo.recipe import validate
from evo.settings import Settings
from evo.storage.names import BASELINES, PARALLEL_BUTTERFLY
from evo.storage.run import Run, Watcher, open_run
from tests.fakes import HashEvaluator
from topologies import Topology


def evaluator() -> HashEvaluator:
    """Looks scores up, and remembers nothing."""
    made = HashEvaluator()
    made.calls = deque(maxlen=0)  # type: ignore[assignment]
    return made


def settings(**loop: int) -> Settings:
    """The usual recipe with another loop."""
    bounds = {"max_depth": 10, "max_width": 64, "max_edges": 1280}
    size = {"n_in": 32, "n_out": 32, "budget": 640}
    return validate(
        {**size, "tuning": {"trials": 8}, "bounds": bounds, "loop": loop, "cluster": {"pool": "in-process"}}
    )


@contextmanager
def running(
    recipe: Settings, pool: Pool, folder: Path, watcher: Watcher = lambda event: None
) -> Iterator[Run[Settings]]:
    """A run in a folder, new or begun before, on a pool of ours."""
    folder.mkdir(exist_ok=True)
    with (
        patch("evo.storage.pools.InProcessPool", lambda _: pool),
        open_run(recipe, evaluator(), folder, watcher) as run,
    ):
        yield run


def rules(recipe: Settings) -> Rules:
    """As a search comes to them: families tuned, the baseline's best member found, the initial population chosen."""
    with tempfile.TemporaryDirectory() as name, running(recipe, InProcessPool(evaluator()), Path(name)) as run:
        trials = {family: tuned(run, family) for family in BASELINES}
        baseline = best_member(run, PARALLEL_BUTTERFLY, trials[PARALLEL_BUTTERFLY])
        assert baseline is not None
        return rules_of(run, Policy.EVOLUTION, trials, baseline)


class Quick:
    """Stands in for breeding where many candidates are wanted: inputs of an individual change places.

    The driver is charged the price of real breeding, in seconds a candidate, whatever this takes.
    """

    def __init__(self, price: float) -> None:
        self._price, self._charged = price, 0.0

    def clock(self) -> float:
        """The driver's seconds, for the simulated clock."""
        return time.thread_time() + self._charged

    def __call__(self, state: State, rules: Rules, generation: int) -> tuple[State, tuple[Candidate, ...]]:
        """As :func:`evo.algorithm.nsga2.ask`."""
        since = time.thread_time()
        initial, size = len(rules.initial_population), rules.offspring
        candidates = (
            range(initial) if generation == 0 else range(initial + size * (generation - 1), initial + size * generation)
        )
        born = []
        for number in candidates:
            key = generator(rules.seed, "quick", number)
            parent = tournament(state.population, key) if state.population else None
            first, *others = (parent.topology if parent else rules.initial_population[number % initial].topology).layers
            moved = replace(first, sources=key.permutation(rules.n_in)[first.sources])
            parents = (parent.candidate.number,) if parent else ()
            born.append(Candidate(number, generation, Topology((moved, *others)), parents, "quick", "family"))
        bred = replace(state, bred=state.bred | {one.topology.digest for one in born})
        self._charged += self._price * len(born) - (time.thread_time() - since)
        return bred, tuple(born)
