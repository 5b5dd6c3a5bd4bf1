"""What every pool of evaluators promises, for whoever writes one.

>>> class TestMyPool(PoolContract):
...     @classmethod
...     def make(cls, evaluator):
...         return MyPool(evaluator)

pytest then runs all of it. Workers import the evaluator of these tests from this module.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from cluster.pool import Pool, map_tasks
from evaluators.run import run
from evaluators.task import Evaluator, Fidelity, Outcome, Score, Split, Task
from topologies import butterfly

FINE, RAISES, NOT_A_NUMBER, NOT_A_SCORE, SLOW, DIES_ONCE, HANGS_ONCE, DIES, HANGS, EXHAUSTS = range(1, 11)
"""What a task's seed tells the evaluator to do; 0 is the canary's."""

SECONDS = 0.2
"""What a slow task takes."""


@dataclass(frozen=True)
class Faulty:
    """Does what a task's seed says, and writes down in ``folder`` which process began what."""

    folder: Path
    home: int = field(default_factory=os.getpid)

    def evaluate(self, topology: object, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """A score that depends on the seed alone, where there is one."""
        if seed == 0:
            lies = (self.folder / "lie").exists() and os.getpid() != self.home
            return Score((0.25 if lies else 0.5,))
        again = bool(self.began(seed))
        with (self.folder / str(seed)).open("a") as log:
            log.write(f"{os.getpid()}\n")
        if seed == RAISES:
            raise ArithmeticError("too sparse\nfor me")
        if seed == NOT_A_NUMBER:
            return Score((float("nan"), 1.0))
        if seed == NOT_A_SCORE:
            return 0.5  # type: ignore[return-value]
        if seed == SLOW:
            time.sleep(SECONDS)
        if seed == DIES or (seed == DIES_ONCE and not again):
            os._exit(1)
        if seed == EXHAUSTS:
            raise MemoryError("a petabyte is asked for")
        if seed == HANGS or (seed == HANGS_ONCE and not again):
            time.sleep(3600)
        return Score((1 / seed, 0.5), 0.1)

    def began(self, seed: int) -> list[int]:
        """The processes that began a task with this seed."""
        log = self.folder / str(seed)
        return [int(line) for line in log.read_text().split()] if log.exists() else []

    def liars(self) -> None:
        """Let the canaries of workers that start from now on have other bits."""
        (self.folder / "lie").touch()


def tasks(*seeds: int) -> list[Task]:
    """One task a seed, numbered from 0."""
    topology, fidelity = butterfly(4, 3), Fidelity(targets=2, steps=5, rates=(0.1,))
    return [
        Task(number=number, topology=topology, fidelity=fidelity, split=Split.SEARCH, seed=seed)
        for number, seed in enumerate(seeds)
    ]


class PoolContract(ABC):
    """Tests of a pool, which :meth:`make` makes; all of them are asked of one pool, which is then closed."""

    evaluator: ClassVar[Faulty]
    pool: ClassVar[Pool]
    _folder: ClassVar[tempfile.TemporaryDirectory[str]]

    @classmethod
    @abstractmethod
    def make(cls, evaluator: Evaluator) -> Pool:
        """A pool whose workers evaluate by the given evaluator."""

    @classmethod
    def setup_class(cls) -> None:
        """Open the pool."""
        cls._folder = tempfile.TemporaryDirectory()
        cls.evaluator = Faulty(Path(cls._folder.name))
        cls.pool = cls.make(cls.evaluator)

    @classmethod
    def teardown_class(cls) -> None:
        """Close it."""
        cls.pool.close()
        cls._folder.cleanup()

    def answers(self, *seeds: int) -> list[Outcome]:
        """The outcomes of one task a seed, in the order of the tasks."""
        outcomes = list(map_tasks(self.pool, tasks(*seeds)))
        assert sorted(outcome.number for outcome in outcomes) == list(range(len(seeds)))
        return sorted(outcomes, key=lambda outcome: outcome.number)

    def test_every_task_is_answered_once_and_counted_until_then(self) -> None:
        pool, asked = self.pool, tasks(*[FINE, SLOW] * 4)
        for count, task in enumerate(asked[:4], 1):
            pool.submit([task])
            assert pool.in_flight == count
        pool.submit(asked[4:])
        assert pool.in_flight == len(asked)
        seen: list[int] = []
        while pool.in_flight:
            arrived = pool.wait()
            assert arrived
            seen += [outcome.number for outcome in arrived]
            assert pool.in_flight == len(asked) - len(seen)
        assert sorted(seen) == [task.number for task in asked]

    def test_an_idle_pool_has_nothing_to_wait_for(self) -> None:
        assert self.pool.wait() == []
        assert self.pool.in_flight == 0
        assert self.pool.size >= 1

    def test_scores_are_those_of_the_evaluator(self) -> None:
        seeds = (FINE, SLOW, FINE)
        expected = [outcome.answer.score for outcome in run(self.evaluator, tasks(*seeds), "here")]
        assert [outcome.answer.score for outcome in self.answers(*seeds)] == expected
        assert None not in expected

    def test_tasks_may_be_added_while_others_are_in_flight(self) -> None:
        first, second, third = tasks(SLOW, FINE, FINE)
        self.pool.submit([first, second])
        seen = [outcome.number for outcome in self.pool.wait()]
        self.pool.submit([third])
        while self.pool.in_flight:
            seen += [outcome.number for outcome in self.pool.wait()]
        assert sorted(seen) == [0, 1, 2]

    def test_what_the_evaluator_raises_is_told_in_one_line_and_harms_no_other_task(self) -> None:
        before, raised, after = self.answers(FINE, RAISES, FINE)
        assert raised.answer.score is None
        wanted = rf"ArithmeticError: too sparse for me \({Path(__file__).name}, line \d+\)"
        assert re.fullmatch(wanted, str(raised.answer.failure))
        assert before.answer.score == after.answer.score is not None
        assert before.answer.failure is after.answer.failure is None

    def test_not_a_number_is_a_score(self) -> None:
        (outcome,) = self.answers(NOT_A_NUMBER)
        assert outcome.answer.failure is None
        score = outcome.answer.score
        assert score is not None and math.isnan(score.errors[0]) and score.error == math.inf

    def test_what_is_not_a_score_is_a_failure_that_says_so(self) -> None:
        (outcome,) = self.answers(NOT_A_SCORE)
        assert outcome.answer.score is None
        assert outcome.answer.failure == "TypeError: the evaluator returned float, not a Score"

    def test_outcomes_say_where_and_how_long(self) -> None:
        (outcome,) = self.answers(SLOW)
        assert SECONDS <= outcome.seconds < 10 * SECONDS
        assert outcome.device
