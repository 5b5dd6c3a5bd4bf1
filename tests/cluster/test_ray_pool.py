"""Ray actors that die, hang, lie or do not fit. The faults are real: processes exit and are killed."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray

import cluster.ray_recruits
from cluster.pool import map_tasks
from cluster.ray_pool import RayPool
from cluster.ray_resources import Share
from cluster.testing import (
    DIES,
    DIES_ONCE,
    EXHAUSTS,
    FINE,
    HANGS,
    HANGS_ONCE,
    SLOW,
    Faulty,
    tasks,
)
from evaluators.run import proof
from evaluators.task import Fidelity, Outcome, Score, Split, Task
from evaluators.training import TrainedAccuracy
from tests.cluster.threads import Threads
from tests.evaluators.training.examples import easy
from topologies import butterfly

SMALL = Share(cpus=0.2)
"""Room for several pools at a time on two cores."""

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


@pytest.fixture(scope="module")
def shared(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RayPool, Faulty]]:
    """Two workers, which take some seconds to start, for tests that leave two workers behind."""
    evaluator = Faulty(tmp_path_factory.mktemp("shared"))
    pool = RayPool(evaluator, workers=2, share=SMALL)
    yield pool, evaluator
    pool.close()


@pytest.fixture
def pool(shared: tuple[RayPool, Faulty]) -> RayPool:
    return shared[0]


@pytest.fixture
def log(shared: tuple[RayPool, Faulty]) -> Faulty:
    """The shared pool's evaluator, for what it has written down since the test began."""
    for file in shared[1].folder.iterdir():
        file.unlink()
    return shared[1]


@pytest.fixture
def evaluator(tmp_path: Path) -> Faulty:
    return Faulty(tmp_path)


def answers(pool: RayPool, *seeds: int) -> list[Outcome]:
    """The outcomes of one task a seed, in the order of the tasks."""
    return sorted(map_tasks(pool, tasks(*seeds)), key=lambda outcome: outcome.number)


def until(what: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def runs(process: int) -> bool:
    """Whether a process is there; one that has ended and only waits to be noticed is not."""
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def workers_at_work(pool: RayPool, log: Faulty, count: int) -> None:
    """Wait until so many workers have taken tasks at the same time."""
    until(lambda: answers(pool, *[SLOW] * count) and len(set(log.began(SLOW)[-count:])) == count)


def test_a_dead_worker_is_replaced_and_its_task_run_again(pool: RayPool, log: Faulty) -> None:
    pool.submit(tasks(HANGS_ONCE, DIES_ONCE, FINE))
    until(lambda: log.began(HANGS_ONCE))
    os.kill(log.began(HANGS_ONCE)[0], signal.SIGKILL)
    outcomes = []
    while pool.in_flight:
        outcomes += pool.wait()
    assert sorted(outcome.number for outcome in outcomes) == [0, 1, 2]
    assert all(outcome.answer.failure is None for outcome in outcomes)
    for seed in (HANGS_ONCE, DIES_ONCE):
        assert len(log.began(seed)) == len(set(log.began(seed))) == 2
    assert pool.size == 2
    workers_at_work(pool, log, 2)


def test_only_the_task_that_kills_worker_after_worker_fails(pool: RayPool, log: Faulty) -> None:
    outcomes = answers(pool, FINE, SLOW, DIES, SLOW, FINE)
    assert [outcome.number for outcome in outcomes if outcome.answer.failure] == [2]
    assert outcomes[2].answer.score is None
    assert str(outcomes[2].answer.failure).startswith("worker after worker died of it: ") and "\n" not in str(
        outcomes[2].answer.failure
    )
    assert len(set(log.began(DIES))) == len(log.began(DIES)) >= 3
    assert pool.size == 2


def test_a_task_that_hangs_keeps_no_other_waiting(pool: RayPool, log: Faulty) -> None:
    workers_at_work(pool, log, 2)  # or else the first to be ready would be handed several at a time
    hanging, *fine = tasks(HANGS_ONCE, FINE, FINE, FINE)
    pool.submit([hanging])
    pool.submit(fine)
    seen: set[int] = set()
    while len(seen) < 3:
        seen |= {outcome.number for outcome in pool.wait()}
    assert seen == {1, 2, 3} and pool.in_flight == 1
    until(lambda: log.began(HANGS_ONCE))  # the other worker may be done before this one has begun
    os.kill(log.began(HANGS_ONCE)[0], signal.SIGKILL)
    assert [outcome.number for outcome in pool.wait()] == [0]


def test_a_batch_that_a_worker_does_not_survive_is_split_until_the_culprit_is_alone(pool: RayPool, log: Faulty) -> None:
    answers(pool, *[FINE] * 4)  # from which the pool learns that tasks are small, so that it hands out many at a time
    outcomes = answers(pool, *[FINE] * 5, EXHAUSTS, *[FINE] * 5, DIES, *[FINE] * 4)
    failed = {outcome.number: str(outcome.answer.failure) for outcome in outcomes if outcome.answer.failure}
    assert failed.keys() == {5, 11}
    assert "MemoryError" in failed[5]
    assert all(reason.startswith("worker after worker died of it: ") for reason in failed.values())
    assert len(log.began(FINE)) > 18, "innocent tasks were tried again"


def test_a_worker_that_takes_too_long_is_taken_for_dead(evaluator: Faulty) -> None:
    pool = RayPool(evaluator, workers=1, share=SMALL, task_timeout=1.0)
    outcomes = answers(pool, FINE, HANGS_ONCE, HANGS)
    pool.close()
    assert [outcome.answer.failure is None for outcome in outcomes] == [True, True, False]
    assert outcomes[2].answer.failure == "worker after worker died of it: it took longer than 1 s"


def test_workers_that_die_while_they_are_idle_cost_no_task(pool: RayPool, log: Faulty) -> None:
    workers_at_work(pool, log, 2)
    for _ in range(2):
        for process in set(log.began(SLOW)[-2:]):
            os.kill(process, signal.SIGKILL)
        until(lambda: not any(runs(process) for process in log.began(SLOW)[-2:]))
        assert [outcome.answer.failure for outcome in answers(pool, FINE, FINE, SLOW, SLOW, SLOW, SLOW)] == [None] * 6


def test_a_closed_pool_has_ended_its_workers_in_the_middle_of_a_task(evaluator: Faulty) -> None:
    pool = RayPool(evaluator, workers=1, share=SMALL)
    pool.submit(tasks(HANGS, FINE))
    until(lambda: evaluator.began(HANGS))
    (process,) = evaluator.began(HANGS)
    assert runs(process)
    pool.close()
    until(lambda: not runs(process))
    assert pool.size == pool.in_flight == 0 and pool.wait() == []


def test_a_replacement_that_computes_other_bits_is_not_used(
    evaluator: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    pool = RayPool(evaluator, workers=2, share=SMALL)
    workers_at_work(pool, evaluator, 2)
    evaluator.liars()
    (outcome,) = answers(pool, DIES_ONCE)
    assert outcome.answer.failure is None
    until(lambda: answers(pool, FINE) and pool.size == 1)
    assert "computed Score(errors=(0.25,)" in caplog.text and f" on {socket.gethostname()} where" in caplog.text
    answers(pool, *[SLOW] * 3)
    assert len(set(evaluator.began(SLOW)[-3:])) == 1
    pool.close()


def test_workers_that_all_compute_other_bits_are_refused(evaluator: Faulty) -> None:
    evaluator.liars()
    with pytest.raises(ValueError, match=r"no Ray worker is left; the last computed Score\(errors=\(0.25,\)"):
        RayPool(evaluator, workers=1, share=SMALL)


def test_a_worker_holds_the_gpu_that_it_says_and_uses_one_thread() -> None:
    pool = RayPool(Threads(), share=Share(cpus=0.1, gpus=1))
    outcomes = answers(pool, *[FINE] * 40)
    pool.close()
    assert pool.size == 0
    assert {outcome.device for outcome in outcomes} <= {f"gpu {gpu} on {socket.gethostname()}" for gpu in (0, 1)}
    assert {outcome.answer.score for outcome in outcomes} == {Score((1, 1))}


@pytest.mark.parametrize(
    ("workers", "share", "room"),
    [
        (3, Share(cpus=0.1, gpus=1), 2),
        (5, Share(cpus=0.1, gpus=0.4), 4),  # a share of a GPU is of one GPU: two of 0.4 each
        (2, Share(cpus=0.1, gpus=2), 1),
        (None, Share(cpus=0.1, gpus=3), 0),
        (None, Share(cpus=1e6), 0),
    ],
)
def test_workers_that_never_fit_are_refused_at_once(
    workers: int | None, share: Share, room: int, evaluator: Faulty
) -> None:
    start = time.monotonic()
    with pytest.raises(ValueError, match=f"room for {room} workers of .* each, not for {workers or 1}"):
        RayPool(evaluator, workers=workers, share=share)
    assert time.monotonic() - start < 2


def test_an_evaluator_that_cannot_be_copied_is_refused(evaluator: Faulty) -> None:
    evaluator.__dict__["lock"] = threading.Lock()
    with pytest.raises(ValueError, match=r"the evaluator cannot be copied to workers: cannot pickle '_thread.lock'"):
        RayPool(evaluator, workers=1, share=SMALL)


def test_a_cluster_that_stays_busy_is_not_waited_for_for_ever(
    evaluator: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = RayPool(evaluator, workers=1, share=Share(cpus=0.1, gpus=2))
    monkeypatch.setattr(cluster.ray_recruits, "READY_SECONDS", 1.0)
    with pytest.raises(ValueError, match="no Ray worker was ready within 1 s: is the cluster busy"):
        RayPool(evaluator, workers=1, share=Share(cpus=0.1, gpus=1))
    assert answers(holder, FINE)[0].answer.failure is None
    holder.close()


def test_data_are_sent_once_and_workers_train_on_them_to_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers have the arrays by reference, as read-only views into their node's store."""
    sent, put = list[tuple[object, Task]](), ray.put
    monkeypatch.setattr(ray, "put", lambda what: sent.append(what) or put(what))
    trained = TrainedAccuracy(easy(examples=4000), [8])
    fidelity = Fidelity(1, 1, (0.01,))
    asked = [
        Task(topology=butterfly(8, depth), fidelity=fidelity, split=split, seed=depth, number=depth)
        for depth, split in zip((1, 2, 3), Split, strict=True)
    ]
    pool = RayPool(trained, workers=2, share=SMALL, proof=proof(8, 8, trained))
    try:
        found = {outcome.number: outcome.answer.score for outcome in map_tasks(pool, asked)}
    finally:
        pool.close()
    assert found == {one.number: trained.evaluate(one.topology, fidelity, one.split, one.seed) for one in asked}
    assert [evaluator for evaluator, _ in sent] == [trained]
