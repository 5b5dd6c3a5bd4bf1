"""The matrix-reconstruction task: how well a topology's product of sparse layers can become a given matrix.

``min over weights of ‖W_O − S_1 ⊙ M_1 ⋯ S_L ⊙ M_L‖² / ‖W_O‖²`` (Eq. 3), the *relative error*, for each of several
random targets ``W_O``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaluators.reconstruction.own_targets import OwnTargets
from evaluators.reconstruction.schedule import one_cycle
from evaluators.reconstruction.targets import target
from evaluators.rng import generator
from evaluators.task import BrokenDeviceError, Fidelity, Score, Split, Task
from topologies.canonical import canonical
from topologies.families.blocks import dense, low_rank
from topologies.families.butterfly import butterfly
from topologies.families.clos import clos
from topologies.initialise import initial_weights
from topologies.stack import the_topology
from topologies.topology import Topology

if TYPE_CHECKING:
    from evaluators.reconstruction.gpu_layout import Problem

WORST = 1.0
"""The relative error of the zero matrix: no target scores worse, not even one that diverged."""


@dataclass(frozen=True)
class Trained:
    """One topology trained on several targets at several peak learning rates.

    ``errors`` has shape ``(rates, targets)``: the least relative error seen, at most 1. ``weights`` has shape
    ``(rates, targets, n_trainable)``: the weights that had it, in the order of the canonical form's edges.
    """

    topology: Topology
    rates: tuple[float, ...]
    errors: NDArray[np.float64]
    weights: NDArray[np.float32]

    @cached_property
    def best(self) -> int:
        """The index of the rate with the least mean error, the smaller rate where two are equal."""
        return int(np.argmin(self.errors.mean(axis=1)))

    @property
    def score(self) -> Score:
        """The errors at the best rate."""
        return Score(tuple(float(error) for error in self.errors[self.best]), self.rates[self.best])


class MatrixReconstruction:
    """Scores a topology by its relative error on random targets, as good as Adam gets it (paper, section V).

    A score depends on the canonical topology, fidelity, split and seed alone; each target's error also not on how
    many other targets there are, given the rate. The rate is chosen per topology: a fixed one decides rankings.

    Parameters
    ----------
    own:
        Matrices to fit instead of random ones, see :mod:`evaluators.reconstruction.own_targets`.
    """

    def __init__(self, own: OwnTargets | None = None) -> None:
        self.own = own

    @property
    def identity(self) -> str:
        """What is fitted; see :class:`evaluators.task.IdentifiedEvaluator`."""
        return identity_of(self.own)

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """Relative error of each target at the best rate; see :class:`evaluators.task.Evaluator`."""
        return self.train(topology, fidelity, split, seed).score

    def train(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Trained:
        """Train the canonical form of a topology on every target at every rate, and keep the best weights seen."""
        from evaluators.reconstruction.cpu import train

        problem = problem_of(topology, fidelity, split, seed, self.own)
        return trained(problem, fidelity, *train(*problem, one_cycle(fidelity.steps)))

    def on_gpu(self) -> GpuReconstruction:
        """The same scores, from the GPU of whatever process makes them."""
        return GpuReconstruction(self.own)

    def gpu_trouble(self) -> str | None:
        """In one line why the GPU of this process cannot be used, or what it does not score as the CPU does."""
        if self.own is not None:
            return MatrixReconstruction().gpu_trouble()
        shapes = {
            "deep": butterfly(16, 6),
            "shallow": clos(12, 4, 3, 4),
            "rectangular": low_rank(20, 9, 3),
            "dense": dense(24, 24),
        }
        fidelity = Fidelity(targets=3, steps=20, rates=(0.3, 1.2))
        tasks = [Task(topology=topology, fidelity=fidelity, split=Split.SEARCH, seed=0) for topology in shapes.values()]
        try:
            found = self.on_gpu().evaluate_many(tasks)
        except (BrokenDeviceError, MemoryError) as error:
            return str(error)
        for (shape, topology), task, score in zip(shapes.items(), tasks, found, strict=True):
            if score != self.evaluate(topology, fidelity, task.split, task.seed):
                return f"it does not score a {shape} topology as the CPU does"
        return None


class GpuReconstruction:
    """:class:`MatrixReconstruction` on a GPU, to the same bits: many topologies at a time, for one does not fill it."""

    def __init__(self, own: OwnTargets | None = None) -> None:
        self.own = own

    @property
    def identity(self) -> str:
        """What is fitted; see :class:`evaluators.task.IdentifiedEvaluator`."""
        return identity_of(self.own)

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """The score of one topology."""
        return self.evaluate_many([Task(topology=topology, fidelity=fidelity, split=split, seed=seed)])[0]

    def evaluate_many(self, tasks: Sequence[Task]) -> list[Score]:
        """The scores of the tasks' topologies; those of equally many steps are trained together."""
        from evaluators.reconstruction.gpu import train_many

        scores: dict[int, Score] = {}
        for steps in {task.fidelity.steps for task in tasks}:
            together = [place for place, task in enumerate(tasks) if task.fidelity.steps == steps]
            some = [tasks[place] for place in together]
            problems = [
                problem_of(the_topology(task.topology, "a task"), task.fidelity, task.split, task.seed, self.own)
                for task in some
            ]
            results = train_many(problems, one_cycle(steps))
            for place, task, problem, result in zip(together, some, problems, results, strict=True):
                scores[place] = trained(problem, task.fidelity, *result).score
        return [scores[place] for place in range(len(tasks))]


def identity_of(own: OwnTargets | None) -> str:
    """What is fitted, in a word."""
    return "random targets" if own is None else f"targets {own.fingerprint}"


def problem_of(
    topology: Topology, fidelity: Fidelity, split: Split, seed: int, own: OwnTargets | None = None
) -> Problem:
    """The canonical form of a topology with every target at every rate, the targets of one rate side by side.

    Raises
    ------
    ValueError
        When ``own`` targets have another size than the topology.
    """
    from evaluators.reconstruction.gpu_layout import Problem

    topology = canonical(topology)
    if own is None:
        goals = np.stack([target(topology.n_in, topology.n_out, i, split, seed) for i in range(fidelity.targets)])
    elif (own.n_in, own.n_out) == (topology.n_in, topology.n_out):
        goals = np.stack([own.target(i, split) for i in range(fidelity.targets)])
    else:
        sizes = f"{topology.n_in} x {topology.n_out} and the targets are {own.n_in} x {own.n_out}"
        raise ValueError(f"the topology is {sizes}")
    starts = np.stack([start_of(topology, i, split, seed) for i in range(fidelity.targets)])
    n_rates = len(fidelity.rates)
    rates = np.repeat(np.array(fidelity.rates), fidelity.targets)
    return Problem(topology, np.tile(starts, (n_rates, 1)), np.tile(goals, (n_rates, 1, 1)), rates)


def trained(problem: Problem, fidelity: Fidelity, losses: NDArray[np.float64], weights: NDArray[np.float32]) -> Trained:
    """What training a problem came to: ``losses`` are the least squared errors, shape ``(rates * targets,)``."""
    energy = np.square(problem.targets[: fidelity.targets], dtype=np.float64).sum(axis=(1, 2))
    errors = np.minimum(losses.reshape(-1, fidelity.targets) / energy, WORST)
    return Trained(problem.topology, fidelity.rates, errors, weights.reshape(*errors.shape, -1))


def start_of(topology: Topology, index: int, split: Split, seed: int) -> NDArray[np.float32]:
    """Initial trainable weights for one target, shape ``(n_trainable,)``; all rates start from the same."""
    draws = initial_weights(topology, generator(seed, "weights", split.key, topology.digest, index))
    return np.concatenate([weights[layer.trainable] for layer, weights in zip(topology.layers, draws, strict=True)])
