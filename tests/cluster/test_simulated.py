"""Workers under a simulated clock: what must come out can be worked out by hand."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.pool import map_tasks
from cluster.testing import EXHAUSTS, FINE, Faulty, tasks
from evaluators.rng import generator
from evaluators.run import run
from evaluators.task import Fidelity, Outcome, Score, Split
from tests.cluster.simulated import Nodes, SimulatedPool
from tests.fakes import HashEvaluator


class Driver:
    """A driver's clock that moves when it is told to."""

    seconds = 0.0

    def __call__(self) -> float:
        """Seconds computed so far."""
        return self.seconds


def pool(workers: int = 1, **options: object) -> SimulatedPool:
    """Tasks that all take two seconds, unless told otherwise, and a driver that takes no time."""
    return SimulatedPool(HashEvaluator(), workers, **{"mean": 2.0, "sigma": 0.0, "clock": lambda: 0.0, **options})  # type: ignore[arg-type]


def answers(here: SimulatedPool, count: int) -> list[Outcome]:
    """The outcomes of so many tasks, in the order of arrival."""
    return list(map_tasks(here, tasks(*[1] * count)))


@pytest.mark.parametrize(
    ("workers", "count", "seconds"), [(1, 6, 12.0), (3, 6, 4.0), (4, 6, 4.0), (6, 6, 2.0), (9, 6, 2.0)]
)
def test_equal_tasks_take_as_many_rounds_as_there_are_workers_for(workers: int, count: int, seconds: float) -> None:
    here = pool(workers)
    start = time.perf_counter()
    answers(here, count)
    assert here.now == pytest.approx(seconds)
    assert here.worked == pytest.approx(2 * count)
    assert here.busy == pytest.approx(2 * count / (workers * seconds))
    assert time.perf_counter() - start < seconds / 2  # nobody slept


def test_durations_are_lognormal_and_say_so() -> None:
    seconds = np.array([one.seconds for one in answers(pool(workers=50, mean=3.0, sigma=0.5), 4000)])
    assert seconds.mean() == pytest.approx(3.0, rel=0.04)
    assert np.log(seconds).std() == pytest.approx(0.5, rel=0.05)
    assert np.log(seconds).mean() == pytest.approx(math.log(3.0) - 0.125, abs=0.04)


def test_quick_tasks_overtake_slow_ones() -> None:
    arrived = answers(pool(workers=4, sigma=1.0), 40)
    ends = [one.seconds for one in arrived[:4]]
    assert [one.number for one in arrived] != sorted(one.number for one in arrived)
    assert ends[0] == min(one.seconds for one in arrived if one.number < 4)


def test_what_the_driver_computes_passes_on_the_clock_and_leaves_workers_idle() -> None:
    driver = Driver()
    here = pool(workers=2, clock=driver)
    here.submit(tasks(1, 1))
    here.wait()
    driver.seconds += 3.0
    here.submit(tasks(1, 1))
    here.wait()
    assert here.now == pytest.approx(2 + 3 + 2)
    assert here.driver == pytest.approx(3)
    assert here.busy == pytest.approx(4 / 7)


def test_what_the_driver_computes_while_workers_work_costs_nothing() -> None:
    driver = Driver()
    here = pool(workers=1, clock=driver)
    here.submit(tasks(1, 1))
    here.wait()
    driver.seconds += 1.5
    here.wait()
    assert here.now == pytest.approx(4.0)
    assert here.busy == pytest.approx(1.0)


def test_the_evaluator_is_not_on_the_drivers_bill() -> None:
    class Labouring(HashEvaluator):
        def evaluate(self, topology: object, fidelity: Fidelity, split: Split, seed: int) -> Score:
            end = time.thread_time() + 0.05
            while time.thread_time() < end:
                pass
            return Score((0.5,) * fidelity.targets)

    here = SimulatedPool(Labouring(), 1, mean=1.0, sigma=0.0)
    answers(here, 5)
    assert here.now == pytest.approx(5.0, abs=0.02)


def test_handing_over_takes_the_driver_s_time() -> None:
    here = pool(workers=4, handing_over=0.5)
    answers(here, 4)
    assert here.now == pytest.approx(4 * 0.5 + 2.0)


def test_tasks_go_over_in_mouthfuls_of_a_quarter_of_a_second() -> None:
    here = pool(workers=2, mean=0.05)
    here.submit(tasks(*[1] * 22))
    sizes = []
    while here.in_flight:
        sizes.append(len(here.wait()))
    assert sizes[0] == 2  # one each, of which nothing is known yet
    assert max(sizes) == 10  # five each


def test_a_task_that_exhausts_memory_is_found_in_its_batch_and_fails_alone(tmp_path: Path) -> None:
    here = SimulatedPool(Faulty(tmp_path), 1, mean=0.05, sigma=0.0, clock=lambda: 0.0)
    outcomes = sorted(map_tasks(here, tasks(FINE, FINE, FINE, EXHAUSTS, FINE, FINE)), key=lambda one: one.number)
    assert [one.answer.failure for one in outcomes] == [None] * 3 + ["MemoryError: a petabyte is asked for"] + [
        None
    ] * 2
    assert all(one.answer.score for one in outcomes if not one.answer.failure)


def lives(seed: int, node: int, mean: float) -> Iterator[float]:
    """How long a node lives, time after time."""
    key = generator(seed, "node", node)
    while True:
        yield float(key.exponential(mean))


@pytest.mark.parametrize("seed", range(6))
def test_work_that_went_down_with_its_node_is_done_again_when_the_node_is_back(seed: int) -> None:
    here = pool(nodes=Nodes(workers=1, life=1.0, noticed=3.0, away=5.0), seed=seed)
    answers(here, 1)
    lost = list(takewhile(lambda life: life < 2.0, lives(seed, 0, 1.0)))
    assert here.now == pytest.approx(sum(lost) + 5.0 * len(lost) + 2.0)
    assert here.worked == pytest.approx(2.0)  # what was lost does not count


def test_another_worker_takes_over_when_a_death_is_noticed() -> None:
    def dies_alone(seed: int) -> bool:
        return next(lives(seed, 0, 30.0)) < 20 and next(lives(seed, 1, 30.0)) > 50

    seeds = list(filter(dies_alone, range(100)))
    assert seeds
    for seed in seeds:
        here = pool(workers=2, mean=20.0, seed=seed, nodes=Nodes(workers=1, life=30.0, noticed=7.0, away=1000.0))
        answers(here, 2)
        assert here.now == pytest.approx(max(20.0, next(lives(seed, 0, 30.0)) + 7.0) + 20.0)


@settings(max_examples=40, deadline=None)
@given(
    workers=st.integers(1, 12),
    count=st.integers(0, 40),
    per_node=st.integers(1, 5),
    life=st.floats(1.0, 60.0),
    seed=st.integers(0, 1000),
)
def test_nothing_is_lost_told_twice_or_another_because_nodes_die(
    workers: int, count: int, per_node: int, life: float, seed: int
) -> None:
    nodes = Nodes(per_node, life, noticed=4.0, away=9.0)
    here = SimulatedPool(HashEvaluator(), workers, 0.5, 0.5, nodes, seed=seed, clock=lambda: 0.0)
    asked = tasks(*range(1, count + 1))
    outcomes = sorted(map_tasks(here, asked), key=lambda one: one.number)
    expected = run(HashEvaluator(), asked, "here")
    assert [(one.number, one.answer.score) for one in outcomes] == [(one.number, one.answer.score) for one in expected]
    assert 0 <= here.busy <= 1 + 1e-9


def test_equal_seeds_give_equal_histories() -> None:
    def history(seed: int) -> list[tuple[int, float, str]]:
        here = pool(workers=5, sigma=0.5, seed=seed, nodes=Nodes(2, life=10.0))
        return [(one.number, one.seconds, one.device) for one in answers(here, 30)]

    assert history(1) == history(1) != history(2)


@pytest.mark.parametrize(
    "wrong", [{"workers": 0}, {"mean": 0.0}, {"nodes": Nodes(life=0.0)}, {"nodes": Nodes(workers=0)}]
)
def test_a_cluster_without_workers_or_time_is_refused(wrong: dict[str, object]) -> None:
    make: Callable[..., SimulatedPool] = pool
    with pytest.raises(ValueError, match="at least one"):
        make(**wrong)
