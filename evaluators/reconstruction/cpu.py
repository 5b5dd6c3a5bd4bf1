"""Matrix reconstruction compiled for the CPU: eight independent problems side by side in vector registers.

A problem is one target matrix trained at one peak learning rate. Eight of them share a run: every weight, hidden
value and gradient is a vector of eight *lanes* (see :mod:`topologies.kernel.simd`), so there is no sum across lanes and
a lane's result does not depend on its neighbours. The cost is proportional to the edges.

The product of the layers is found by pushing the identity through the cascade, eight inputs (a *block*) at a time:
all hidden values of a block stay in cache, from the forward pass to the backward one. The first layer then needs
no arithmetic: its outputs are its weights. Weight gradients are summed over the blocks; then Adam takes one step.
The plain form of all this is :mod:`evaluators.reconstruction.reference`.

Memory of one run in flight, in bytes: 256 for every neuron after the inputs, 160 for every trainable edge, and
``32 * n_in * n_out`` for the targets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluators.reconstruction.layout import Plan, plan
from evaluators.reconstruction.schedule import EPSILON, Schedule
from topologies.kernel.compiled import compiled
from topologies.kernel.simd import (
    BLOCK,
    LANES,
    TILE,
    aligned,
    at,
    fma,
    fold,
    load_lanes,
    load_tile,
    splat_lanes,
    splat_tile,
    spread,
    sqrt,
    store,
    where_less,
)
from topologies.topology import Topology

_Floats = NDArray[np.float32]


def train(
    topology: Topology, weights: _Floats, targets: _Floats, rates: NDArray[np.float64], schedule: Schedule
) -> tuple[NDArray[np.float64], _Floats]:
    """Train any number of independent problems on one topology.

    Parameters
    ----------
    topology:
        Any topology; constants are 1.
    weights:
        Initial trainable weights, shape ``(problems, n_trainable)``, in the order of layers and their edges.
    targets:
        Shape ``(problems, n_in, n_out)``.
    rates:
        Peak learning rate of each problem, shape ``(problems,)``.
    schedule:
        Learning rate of each step relative to the peak, and Adam's memories.

    Returns
    -------
    The least squared error seen in each problem, shape ``(problems,)``, infinite where no step had a finite one; and
    the weights that had it, shape ``(problems, n_trainable)``.
    """
    arranged = plan(topology)
    problems = targets.shape[0]
    losses = np.empty(problems, dtype=np.float64)
    kept = np.empty_like(weights)
    for start in range(0, problems, LANES):
        group = slice(start, min(start + LANES, problems))
        losses[group], kept[group] = _train_group(
            arranged, weights[group], targets[group], rates[group].astype(np.float32), schedule
        )
    return losses, kept


def _train_group(
    plan: Plan, weights: _Floats, targets: _Floats, rates: _Floats, schedule: Schedule
) -> tuple[_Floats, _Floats]:
    """Up to eight problems; lanes that are left over train the zero matrix and are dropped."""
    used, n_in, n_out = targets.shape
    n_slots = plan.n_slots
    weight = aligned((n_slots + 1) * LANES)
    by_lane = weight.reshape(n_slots + 1, LANES)
    by_lane[:n_slots, :used] = weights.T
    by_lane[n_slots] = 1
    goal = aligned(plan.n_blocks * n_out * TILE)
    padded = np.zeros((LANES, plan.n_blocks * BLOCK, n_out), dtype=np.float32)
    padded[:used, :n_in] = targets
    goal[:] = padded.reshape(LANES, plan.n_blocks, BLOCK, n_out).transpose(1, 3, 2, 0).ravel()
    rate = aligned(LANES)
    rate[:used] = rates
    best = aligned(LANES)
    kept = aligned(weight.size)
    kept[:] = weight
    widest = int(plan.widths[1:].max())
    hidden = aligned(int(plan.first[-1]) * TILE)
    above, below = aligned(widest * TILE), aligned(widest * TILE)
    gradient, mean, square = aligned(weight.size), aligned(weight.size), aligned(weight.size)
    _run(plan, weight, goal, rate, schedule, hidden, above, below, gradient, mean, square, best, kept)
    return best[:used], kept.reshape(n_slots + 1, LANES)[:n_slots, :used].T


@compiled
def _run(plan, weight, goal, rate, schedule, hidden, above, below, gradient, mean, square, best, kept):  # type: ignore[no-untyped-def]
    lowest = splat_lanes(np.float32(np.inf))
    decay_1, decay_2 = 1.0, 1.0
    for step in range(schedule.rates.size):
        for slot in range(plan.n_slots):
            store(gradient, slot * LANES, splat_lanes(np.float32(0)))
        loss = splat_tile(np.float32(0))
        for block in range(plan.n_blocks):
            _forward(plan, block, weight, hidden)
            last = plan.first[plan.depth]
            n_out = plan.widths[plan.depth]
            squares = splat_tile(np.float32(0))
            for k in range(n_out):
                residual = load_tile(hidden, (last + k) * TILE) - load_tile(goal, (block * n_out + k) * TILE)
                squares = fma(residual, residual, squares)
                store(above, k * TILE, residual)
            loss = loss + squares
            above, below = _backward(plan, block, weight, hidden, above, below, gradient)
        decay_1 *= schedule.beta_1
        decay_2 *= schedule.beta_2
        correction = np.sqrt(1 - decay_2)
        pace = load_lanes(rate, 0) * splat_lanes(np.float32(schedule.rates[step] * correction / (1 - decay_1)))
        loss_now = fold(loss)
        floor = splat_lanes(np.float32(EPSILON * correction))
        _adam(plan, schedule, weight, gradient, mean, square, kept, pace, floor, loss_now, lowest)
        lowest = where_less(loss_now, lowest, loss_now, lowest)
    store(best, 0, lowest)


@compiled
def _forward(plan, block, weight, hidden):  # type: ignore[no-untyped-def]
    """Fill ``hidden`` with every neuron's dependence on the inputs of one block, a tile a neuron."""
    for k in range(plan.widths[1]):
        store(hidden, k * TILE, splat_tile(np.float32(0)))
    edges = plan.from_inputs
    for row in range(BLOCK):
        for e in range(edges.start[block * BLOCK + row], edges.start[block * BLOCK + row + 1]):
            store(hidden, at(edges.tile, e) + row * LANES, load_lanes(weight, at(edges.lanes, e)))
    edges = plan.into
    for layer in range(2, plan.depth + 1):
        before = plan.first[layer - 1] * TILE
        for k in range(plan.first[layer], plan.first[layer] + plan.widths[layer]):
            total = splat_tile(np.float32(0))
            for e in range(at(edges.start, k), at(edges.middle, k)):
                factor = spread(load_lanes(weight, at(edges.lanes, e)))
                total = fma(factor, load_tile(hidden, before + at(edges.tile, e)), total)
            for e in range(at(edges.middle, k), at(edges.start, k + 1)):
                total = total + load_tile(hidden, before + at(edges.tile, e))
            store(hidden, k * TILE, total)


@compiled
def _backward(plan, block, weight, hidden, above, below, gradient):  # type: ignore[no-untyped-def]
    """Add one block's share to ``gradient``, from the residuals in ``above``; returns the two buffers, swapped about.

    The loss is half the squared error, so that the residual is its own gradient.
    """
    edges = plan.out_of
    for layer in range(plan.depth - 1, 0, -1):
        for k in range(plan.widths[layer]):
            neuron = plan.first[layer] + k
            value = load_tile(hidden, neuron * TILE)
            total = splat_tile(np.float32(0))
            for e in range(at(edges.start, neuron), at(edges.middle, neuron)):
                place = at(edges.lanes, e)
                arriving = load_tile(above, at(edges.tile, e))
                total = fma(spread(load_lanes(weight, place)), arriving, total)
                store(gradient, place, load_lanes(gradient, place) + fold(value * arriving))
            for e in range(at(edges.middle, neuron), at(edges.start, neuron + 1)):
                total = total + load_tile(above, at(edges.tile, e))
            store(below, k * TILE, total)
        above, below = below, above
    edges = plan.from_inputs
    for row in range(BLOCK):
        group = block * BLOCK + row
        for e in range(edges.start[group], edges.middle[group]):
            place = at(edges.lanes, e)
            arriving = load_lanes(above, at(edges.tile, e) + row * LANES)
            store(gradient, place, load_lanes(gradient, place) + arriving)
    return above, below


@compiled
def _adam(plan, schedule, weight, gradient, mean, square, kept, pace, floor, loss, lowest):  # type: ignore[no-untyped-def]
    """Keep the weights of lanes whose ``loss`` is their lowest so far, then step at the bias-corrected ``pace``."""
    keep_1, take_1 = splat_lanes(np.float32(schedule.beta_1)), splat_lanes(np.float32(1 - schedule.beta_1))
    keep_2, take_2 = splat_lanes(np.float32(schedule.beta_2)), splat_lanes(np.float32(1 - schedule.beta_2))
    for slot in range(plan.n_slots):
        place = slot * LANES
        g = load_lanes(gradient, place)
        w = load_lanes(weight, place)
        m = fma(keep_1, load_lanes(mean, place), take_1 * g)
        v = fma(keep_2, load_lanes(square, place), take_2 * g * g)
        store(kept, place, where_less(loss, lowest, w, load_lanes(kept, place)))
        store(mean, place, m)
        store(square, place, v)
        store(weight, place, w - pace * m / (sqrt(v) + floor))
