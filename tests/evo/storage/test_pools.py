"""Who evaluates: what a search computes on, chosen once before it begins, and evaluators that are refused."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from evaluators import MatrixReconstruction
from evaluators.reconstruction import gpu_driver
from evaluators.run import proof
from evaluators.task import Evaluator, Fidelity, Score, Split, Task
from evo.experiment.search import search
from evo.storage.pools import check_evaluator, named_evaluator, open_pool
from evo.storage.run import open_run
from tests.fakes import HashEvaluator, SometimesNotANumber, SometimesRaises, recipe
from topologies.topology import Topology


@pytest.mark.ray
@pytest.mark.skipif(gpu_driver.available(), reason="there is a GPU that works")
def test_gpus_that_cannot_be_used_are_named_and_left_alone(local_ray: None, caplog: pytest.LogCaptureFixture) -> None:
    settings = recipe(cluster={"pool": "ray", "workers": 1})
    with caplog.at_level(logging.WARNING), open_pool(settings, MatrixReconstruction()) as opened:
        pool, backend = opened
        assert (pool.size, backend) == (1, "cpu")
    (said,) = (record.getMessage() for record in caplog.records if "GPU" in record.getMessage())
    assert said.startswith("the cluster's GPUs are not used: ") and "\n" not in said


class Astray(MatrixReconstruction):
    """Its GPU is wrong in the last bit."""

    def on_gpu(self) -> Astray:  # type: ignore[override]
        """The same."""
        return self

    def evaluate_many(self, tasks: Sequence[Task]) -> list[Score]:
        """The scores of the CPU, or nearly."""
        scores = [self.evaluate(task.topology, task.fidelity, task.split, task.seed) for task in tasks]
        first, *others = scores[1].errors
        return [scores[0], Score((first * (1 + 2**-52), *others), scores[1].learning_rate), *scores[2:]]


def test_a_gpu_with_other_bits_is_not_good_enough() -> None:
    assert Astray().gpu_trouble() == "it does not score a shallow topology as the CPU does"


class Drawn:
    """Scores are drawn by a function that is not told of the seed."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self.draw = draw

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """As many draws as there are targets."""
        return Score([self.draw() for _ in range(fidelity.targets)])  # type: ignore[arg-type]


def now_and_then() -> Callable[[], float]:
    """Fails every second time."""
    left = [0.5] * 3

    def draw() -> float:
        left.reverse()
        if len(left) % 2 == 0:
            left.pop()
            raise ArithmeticError("not this time")
        return left.pop()

    return draw


UNSEEDED: dict[str, Callable[[], float]] = {
    "random": random.random,
    "numpy": lambda: float(np.random.default_rng().random()),
    "a counter": iter(range(1000)).__next__,
    "a failure now and then": now_and_then(),
}


@pytest.mark.parametrize("draw", UNSEEDED.values(), ids=UNSEEDED)
def test_an_evaluator_that_draws_without_a_seed_is_refused_before_a_folder_is_made(
    tmp_path: Path, draw: Callable[[], float]
) -> None:
    words = r"^the evaluator gave two scores for equal arguments, .* has to be drawn from `seed`$"
    with pytest.raises(ValueError, match=words):
        check_evaluator(Drawn(draw), recipe())
    runs, folder = tmp_path / "runs", tmp_path / "folder"
    again = recipe(runs=runs)
    with pytest.raises(ValueError, match=words):
        search(again, Drawn(random.random))
    with pytest.raises(ValueError, match=words):
        search(again, lambda *asked: Score((random.random(),) * asked[1].targets), folder=folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "evaluator", [HashEvaluator(), SometimesRaises(), MatrixReconstruction(), SometimesNotANumber()], ids=type
)
def test_an_evaluator_that_is_a_function_of_its_arguments_is_not_refused(evaluator: Evaluator) -> None:
    for seed in range(1, 5):
        check_evaluator(evaluator, recipe(seed=seed))


class Answers:
    """Answers everything with one error, as often as there are targets."""

    def __init__(self, error: float) -> None:
        self.error = error

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """The same for all."""
        return Score(tuple(float(f"{self.error}") for _ in range(fidelity.targets)))


@pytest.mark.parametrize("error", [0.5, float("nan"), float("inf")])
def test_a_score_that_is_not_a_number_is_the_same_score_twice(error: float) -> None:
    check_evaluator(Answers(error), recipe())


class Counting(HashEvaluator):
    """Remembers sizes and seeds."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, int, int]] = []

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """A score as usual."""
        self.asked.append((topology.n_in, topology.n_out, seed))
        return super().evaluate(topology, fidelity, split, seed)


def test_the_check_is_the_proof_of_a_worker_of_the_recipes_size() -> None:
    counting = Counting()
    check_evaluator(counting, recipe(6, 9, seed=11))
    assert counting.asked == [(6, 9, 0)] * 2
    assert (proof(6, 9).topology.n_in, proof(6, 9).topology.n_out) == (6, 9)


def test_a_run_that_goes_on_is_proved_once_and_not_checked_again(tmp_path: Path) -> None:
    for times in (2 + 1, 1):
        counting = Counting()
        with open_run(recipe(), counting, tmp_path, lambda event: None):
            assert counting.asked == [(8, 8, 0)] * times


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere:Mine", "ModuleNotFoundError: No module named 'nowhere'"),
        ("tests.fakes:Mine", "has no attribute 'Mine'"),
        ("tests.fakes:SEED", "it has no method `evaluate"),
        ("tests.fakes:ShufflingPool", "missing 1 required positional argument"),
    ],
)
def test_an_evaluator_that_cannot_be_had_is_named(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=rf"^evaluator '{name}': .*{words}"):
        named_evaluator(name)


def test_an_evaluator_may_be_named_by_its_class_or_be_a_function() -> None:
    assert isinstance(named_evaluator("tests.fakes:HashEvaluator"), HashEvaluator)
    evaluator = named_evaluator("tests.evo.storage.a_function:by_edges")
    task = proof(4, 4)
    found = evaluator.evaluate(task.topology, task.fidelity, task.split, 5)
    assert found == Score((float(task.topology.n_edges),))
