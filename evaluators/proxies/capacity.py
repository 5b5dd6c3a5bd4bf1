"""Capacity: how much a topology's weights can say about a matrix, as a cheap prediction of its reconstruction error.

Rate-distortion theory: a Gaussian matrix of N entries is known up to a share D of its energy only to one who was told
``N/2 log(1/D)`` nats. All that a cascade is told is its weights. What they can say is the volume of the matrices they
reach, counted in cells of a resolution ρ: ``1/2 log det(1 + G/ρ)``, with G the Gram matrix of the product's
derivatives by the weights (paper, section 7: ``(A Aᵀ)∘(B Bᵀ)``). Tangent rank counts the directions in which the
product can move; capacity also counts how far. That decides where most topologies have full rank: at small budgets.

Where the weights are when G is taken matters most. Initial weights of deep cascades are small, and hide what trained
ones reach. Here all have the same magnitude and random signs, so large that the product is far louder than the
targets: constants hardly count, and a topology that needs large weights to be loud shows less.

Capacity is blind to entries that no weight reaches. They keep what constants give them and cost their part of the
error for certain (:func:`topologies.measures.frozen_lower_bound`), which is added.

Measured: Spearman correlations of :func:`predict` with the error, over structured random topologies of 32 x 32 like
those that the constants below were chosen on, are 0.89 to 0.96 from 160 to 960 parameters. Over topologies of other
kinds they are 0.23 to 0.99, least where neurons have many constants (``python -m tests.benchmarks.scores``): it
explains errors, and :func:`evaluators.default_score` is what to choose by.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky
from scipy.special import expit

from evaluators.rng import generator
from evaluators.task import Fidelity, Score, Split
from topologies.measures import frozen_lower_bound
from topologies.product import gram
from topologies.topology import Topology

LOUDNESS = 100.0
"""Mean square of the product's entries, where that of a target's is 1."""
RESOLUTION = 0.005
"""Times ``1 - E / N``, what as many free directions as parameters would leave of a target: the ridge ρ."""
FROZEN = 20.0
"""Nats an entry that a share 1 of frozen energy costs."""

_MOST_DRAWS, _WORK = 8, 200_000
"""Signs are drawn ``_WORK / E²`` times, at least once and at most ``_MOST_DRAWS`` times: fewer weights, more chance."""


class Capacity:
    """Scores a topology by the error that its capacity lets expect."""

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """``1 / (1 + exp(-predict))`` in [0, 1], as the error of every target: its order counts, not its size.

        Only the last bits depend on the number of BLAS threads; nothing depends on fidelity, split or seed.
        """
        return Score((float(expit(predict(topology))),) * fidelity.targets)


def predict(topology: Topology) -> float:
    """A number that is lower the lower the reconstruction error is likely to be, at one size and budget.

    ``FROZEN`` times the frozen lower bound, less the capacity. Not an error itself: it compares topologies of one size
    and nearly one budget.
    """
    return FROZEN * frozen_lower_bound(topology) - capacity(topology)


def capacity(topology: Topology) -> float:
    """Twice the nats an entry: ``log det(1 + G/ρ) / N`` with N = n_in n_out, the mean over a few draws of signs.

    0 without trainable edges on a path from an input to an output. ``24 E²`` bytes and ``E³/3`` operations for E
    trainable edges.
    """
    parameters, entries = topology.n_trainable, topology.n_in * topology.n_out
    if parameters == 0:
        return 0.0
    ridge = RESOLUTION * max(1 - parameters / entries, 0.02)
    size = magnitude(topology)
    draws = int(np.clip(round(_WORK / parameters**2), 1, _MOST_DRAWS))
    volumes = [_log_det(gram(topology, _loud(topology, size, draw)), ridge) for draw in range(draws)]
    return sum(volumes) / (draws * entries)


def magnitude(topology: Topology) -> float:
    """The one magnitude of all trainable weights that makes the product as loud as ``LOUDNESS``, over random signs.

    A path with k trainable edges adds ``magnitude^2k`` to the expected energy; those without any are left out. 1 where
    no path has a trainable edge.
    """
    logs = _log_paths(topology)[1:] - np.log(LOUDNESS * topology.n_in * topology.n_out)
    powers = 1 + np.flatnonzero(np.isfinite(logs))
    if powers.size == 0:
        return 1.0
    logs = logs[powers - 1]
    highest = float(np.min(-logs / powers))  # of log magnitude²: one kind of path alone is as loud there
    lowest = float(np.min((-logs - np.log(powers.size)) / powers))  # here none has its equal part yet
    for _ in range(50):
        middle = (lowest + highest) / 2
        loud = float(np.sum(np.exp(logs + powers * middle))) > 1
        lowest, highest = (lowest, middle) if loud else (middle, highest)
    return float(np.exp(highest / 2))


def _log_paths(topology: Topology) -> NDArray[np.float64]:
    """Logarithms of how many paths from any input to any output have 0, 1, ... trainable edges: ``(depth + 1,)``."""
    ending, log_unit = np.zeros((topology.n_in, topology.depth + 1)), 0.0
    ending[:, 0] = 1
    for layer in topology.layers:
        arriving = ending[layer.sources]
        arriving[layer.trainable] = np.roll(arriving[layer.trainable], 1, axis=1)
        ending = np.zeros((layer.n_out, topology.depth + 1))
        np.add.at(ending, layer.targets, arriving)
        unit = max(float(ending.max()), 1.0)  # counts of deep cascades would leave the range of floats
        ending, log_unit = ending / unit, log_unit + float(np.log(unit))
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(ending.sum(axis=0)) + log_unit)


def _loud(topology: Topology, size: float, draw: int) -> list[NDArray[np.float64]]:
    """Weights of one size and random signs."""
    signs = generator(draw, "signs")
    return [
        np.where(layer.trainable, size * signs.choice((-1.0, 1.0), layer.n_edges), 1.0) for layer in topology.layers
    ]


def _log_det(inner: NDArray[np.float64], ridge: float) -> float:
    """``log det(1 + inner / ridge)``; overwrites the Gram matrix."""
    inner /= ridge
    inner[np.diag_indices_from(inner)] += 1
    factor = cholesky(inner, lower=True, overwrite_a=True, check_finite=False)
    return float(2 * np.log(np.diagonal(factor)).sum())
