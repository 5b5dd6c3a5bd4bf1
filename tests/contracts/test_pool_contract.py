"""What every pool of evaluators promises; a new pool is tested by being listed here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator

import pytest

from cluster.in_process import InProcessPool
from cluster.pool import Pool, map_tasks
from evaluators.run import run
from evaluators.task import Evaluator, Outcome
from tests.cluster.faulty import FINE, NOT_A_NUMBER, NOT_A_SCORE, RAISES, SECONDS, SLOW, Faulty, tasks
from tests.cluster.simulated import SimulatedPool
from tests.fakes import ShufflingPool


def ray_pool(evaluator: Evaluator) -> Pool:
    """Two Ray actors."""
    from cluster.ray_pool import RayPool

    return RayPool(evaluator, workers=2)


POOLS: dict[str, Callable[[Evaluator], Pool]] = {
    "in-process": InProcessPool,
    "shuffling": ShufflingPool,
    "simulated": SimulatedPool,
    "ray": ray_pool,
}


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.ray if name == "ray" else ()) for name in POOLS]
)
def pool(request: pytest.FixtureRequest, evaluator: Faulty) -> Iterator[Pool]:
    if request.param == "ray":
        request.getfixturevalue("local_ray")
    pool = POOLS[request.param](evaluator)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Faulty:
    return Faulty(tmp_path_factory.mktemp("faulty"))


def answers(pool: Pool, *seeds: int) -> list[Outcome]:
    """The outcomes of one task a seed, in the order of the tasks."""
    outcomes = list(map_tasks(pool, tasks(*seeds)))
    assert sorted(outcome.number for outcome in outcomes) == list(range(len(seeds)))
    return sorted(outcomes, key=lambda outcome: outcome.number)


def test_every_task_is_answered_once_and_counted_until_then(pool: Pool) -> None:
    asked = tasks(*[FINE, SLOW] * 4)
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


def test_an_idle_pool_has_nothing_to_wait_for(pool: Pool) -> None:
    assert pool.wait() == []
    assert pool.in_flight == 0
    assert pool.size >= 1


def test_scores_are_those_of_the_evaluator(pool: Pool, evaluator: Faulty) -> None:
    seeds = (FINE, SLOW, FINE)
    expected = [outcome.answer.score for outcome in run(evaluator, tasks(*seeds), "here")]
    assert [outcome.answer.score for outcome in answers(pool, *seeds)] == expected
    assert None not in expected


def test_tasks_may_be_added_while_others_are_in_flight(pool: Pool) -> None:
    first, second, third = tasks(SLOW, FINE, FINE)
    pool.submit([first, second])
    seen = [outcome.number for outcome in pool.wait()]
    pool.submit([third])
    while pool.in_flight:
        seen += [outcome.number for outcome in pool.wait()]
    assert sorted(seen) == [0, 1, 2]


def test_what_the_evaluator_raises_is_told_in_one_line_and_harms_no_other_task(pool: Pool) -> None:
    before, raised, after = answers(pool, FINE, RAISES, FINE)
    assert raised.answer.score is None
    assert re.fullmatch(r"ArithmeticError: too sparse for me \(faulty\.py, line \d+\)", str(raised.answer.failure))
    assert before.answer.score == after.answer.score is not None
    assert before.answer.failure is after.answer.failure is None


def test_not_a_number_is_a_score(pool: Pool) -> None:
    (outcome,) = answers(pool, NOT_A_NUMBER)
    assert outcome.answer.failure is None
    assert (
        outcome.answer.score is not None
        and math.isnan(outcome.answer.score.errors[0])
        and outcome.answer.score.error == math.inf
    )


def test_what_is_not_a_score_is_a_failure_that_says_so(pool: Pool) -> None:
    (outcome,) = answers(pool, NOT_A_SCORE)
    assert outcome.answer.score is None
    assert outcome.answer.failure == "TypeError: the evaluator returned float, not a Score"


def test_outcomes_say_where_and_how_long(pool: Pool) -> None:
    (outcome,) = answers(pool, SLOW)
    assert SECONDS <= outcome.seconds < 10 * SECONDS
    assert outcome.device


@pytest.mark.parametrize("name", ["in-process", "shuffling", "simulated"])
def test_a_closed_pool_has_dropped_its_tasks(name: str, evaluator: Faulty) -> None:
    pool = POOLS[name](evaluator)
    pool.submit(tasks(FINE, FINE))
    pool.close()
    assert pool.in_flight == 0 and pool.wait() == []
