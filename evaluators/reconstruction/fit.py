"""A cascade's weights fitted to a dense layer's: training in place of a fresh draw.

>>> import topologies.models as tm
>>> model = tm.convert(model, density=0.25, diagonal=True, weights=fit)
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from os import PathLike
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluators.reconstruction.schedule import one_cycle
from evaluators.rng import generator
from topologies.entries import as_array
from topologies.extras import needed_by
from topologies.initialise import initial_weights
from topologies.names import resolve
from topologies.stack import AnyTopology
from topologies.topology import Topology

RATES = (0.15, 0.6, 1.2, 2.4)
"""Peak learning rates, for matrices of unit mean square: deep cascades and large ones take the smaller."""


_ALL_CONSTANT = (
    "every layer of the topology has constant edges, so that its product cannot be small; tm.plan's diagonal=True, or "
    "a family's, adds a layer without"
)


class FittedWeights(NamedTuple):
    """What a fit found: trainable weights ``(n_trainable,)``, as ``SparseCascade.edge_weight``, and the error left.

    ``error`` is relative, ``‖W − S_1 ⋯ S_L‖² / ‖W‖²`` (Eq. 3); ``learning_rate`` is the one that led there.
    """

    weights: NDArray[np.float32]
    error: float
    learning_rate: float


def fit(
    topology: AnyTopology | str | PathLike[str],
    matrix: ArrayLike,
    *,
    steps: int = 1000,
    rates: Sequence[float] = RATES,
    restarts: int = 2,
    seed: int = 0,
) -> FittedWeights:
    """Train a topology until its product is near a matrix, and return the best weights seen.

    Adam at every rate from every start, eight problems side by side in vector registers
    (:mod:`evaluators.reconstruction.cpu`): the time is that of one core and in proportion to edges, inputs and steps.
    The result is a function of the arguments.

    Parameters
    ----------
    topology:
        Of the matrix's sizes; or what stands for it, as :func:`topologies.names.resolve` takes it.
    matrix:
        ``(n_in, n_out)``, an array or a tensor: an ``nn.Linear`` keeps it turned, ``linear.weight.T``.
    steps:
        Of the one-cycle schedule.
    rates:
        Peak learning rates, relative to a matrix whose entries have a mean square of 1.
    restarts:
        Draws of first weights for each rate.
    seed:
        Of the draws.

    Raises
    ------
    ValueError
        When the sizes differ, an entry is not real or not finite, the matrix is on the meta device, or a number of
        steps, rates or restarts is none.
    ModuleNotFoundError
        Where numba is not installed.

    Warns
    -----
    UserWarning
        When what was found is no nearer to the matrix than zero is. That happens where every layer has constant edges
        and the matrix is small: paths of constants count 1 whatever is trained.
    """
    with needed_by("evaluators.reconstruction.fit", "fast"):
        from evaluators.reconstruction.cpu import train

    topology = resolve(topology)
    wanted = _checked(matrix, topology)
    if steps < 1 or restarts < 1 or not rates or not all(0 < rate < np.inf for rate in rates):
        raise ValueError(f"steps={steps}, restarts={restarts}, rates={tuple(rates)}: all must be above 0, and there")
    energy = float(np.square(wanted, dtype=np.float64).sum())
    scale = float(np.float32(np.sqrt(energy / wanted.size)))
    if scale == 0 and (zero := _zero(topology, _start(topology, seed, 0))) is not None:
        return FittedWeights(zero, float(energy > 0), float(rates[0]))  # all of it is left where it has any
    scale = scale or 1.0
    factor = _factors(topology, scale)
    goal = wanted if factor is None else wanted / np.float32(scale)
    starts = np.stack([_start(topology, seed, restart) for restart in range(restarts)])
    peaks = np.repeat(np.array(rates, dtype=np.float64), restarts)
    losses, weights = train(
        topology, np.tile(starts, (len(rates), 1)), np.tile(goal, (peaks.size, 1, 1)), peaks, one_cycle(steps)
    )
    best = int(np.argmin(losses))
    found = weights[best] if factor is None else (weights[best] * factor).astype(np.float32)
    left = float(losses[best]) * (1.0 if factor is None else scale**2)
    error = left / energy if energy else float("inf")
    if error >= 1:
        warnings.warn(
            f"the fit is no nearer to the matrix than zero is (relative error {error:.2f}): "
            + ("more steps or other rates may help" if factor is not None else _ALL_CONSTANT),
            stacklevel=2,
        )
    return FittedWeights(np.ascontiguousarray(found), error, float(peaks[best]))


def _checked(matrix: ArrayLike, topology: Topology) -> NDArray[np.float32]:
    """The matrix as numbers to be fitted; ValueError where its size is not the topology's, or they are no numbers."""
    if getattr(matrix, "is_meta", False):
        raise ValueError("the matrix has no memory (the meta device): there is nothing to fit")
    given = as_array(matrix)
    if given.dtype.kind not in "biuf":
        raise ValueError(f"the matrix is {given.dtype}: real numbers are wanted")
    wanted = given.astype(np.float32)
    if wanted.shape != (topology.n_in, topology.n_out):
        sizes = f"{topology.n_in} x {topology.n_out} and the matrix is of shape {wanted.shape}"
        raise ValueError(f"the topology is {sizes}: (n_in, n_out) is wanted, an nn.Linear's weight turned")
    if not np.isfinite(wanted).all():
        raise ValueError("the matrix has entries that are not finite")
    return wanted


def _factors(topology: Topology, scale: float) -> NDArray[np.float64] | None:
    """What every trainable weight is multiplied by for the product to be ``scale`` times itself.

    Only layers without constants can be scaled, and they share it. None where every layer has constants: there the
    matrix is fitted at its own size.
    """
    free = [layer.n_trainable == layer.n_edges for layer in topology.layers]
    if not any(free):
        return None
    each = scale ** (1 / sum(free))
    counts = [layer.n_trainable for layer in topology.layers]
    return np.repeat([each if is_free else 1.0 for is_free in free], counts)


def _zero(topology: Topology, start: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Weights whose product is 0: those of the last layer without constants are, and the others can still be trained.

    None where every layer has constants.
    """
    free = [place for place, layer in enumerate(topology.layers) if layer.n_trainable == layer.n_edges]
    if not free:
        return None
    of_layer = np.repeat(np.arange(topology.depth), [layer.n_trainable for layer in topology.layers])
    return np.where(of_layer == free[-1], np.float32(0), start)


def _start(topology: Topology, seed: int, restart: int) -> NDArray[np.float32]:
    """First trainable weights, shape ``(n_trainable,)``."""
    drawn = initial_weights(topology, generator(seed, "fit", restart))
    return np.concatenate([weights[layer.trainable] for layer, weights in zip(topology.layers, drawn, strict=True)])
