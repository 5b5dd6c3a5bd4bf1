"""Some seventy topologies of one budget and many kinds, to ask what predicts how well they learn.

Each is one cascade of ``n`` inputs and outputs, to be used in every place of a network. None has more trainable edges
than ``n * fan``, and those that come much below say so by their number. Inputs are pixels of a square image in rows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from evaluators.rng import generator
from tests.benchmarks.trained.wiring import near_on_grid, one_layer, pairing, patches, reordered
from topologies import butterfly, clos, expander, low_rank, parallel_butterfly, random_regular
from topologies.shuffle import shuffled
from topologies.topology import Topology

LEAST_SHARE = 0.85
"""Share of the budget below which a topology is left out."""

_Near = NDArray[np.float64]


def specimens(near: _Near, fan: int) -> dict[str, Topology]:
    """Topologies by name.

    Parameters
    ----------
    near:
        How alike the data's inputs are, ``(n, n)``, with n a square number and a power of two.
    fan:
        Trainable edges for every neuron.
    """
    n = len(near)
    grid = near_on_grid(math.isqrt(n), math.isqrt(n))
    drawn = {
        **_butterflies(near, fan),
        **_patches("grid", grid, fan),
        **_patches("correlation", near, fan),
        **_stretched(math.isqrt(n), fan),
        **_random(n, fan),
        **_narrow(near, fan),
    }
    patched = ("grid patches", "grid patches, 2 layers", "correlation patches", f"grid patches, {fan // 2} random")
    for name in (*patched, f"butterfly {fan}"):
        drawn[f"{name}, shuffled"] = shuffled(drawn[name], generator(0, "shuffled", name))
        elsewhere = generator(0, "elsewhere", name).permutation(n)
        drawn[f"{name}, inputs elsewhere"] = reordered(drawn[name], elsewhere)
    budget = n * fan
    return {name: one for name, one in drawn.items() if LEAST_SHARE * budget <= one.n_trainable <= budget}


def _butterflies(near: _Near, fan: int) -> dict[str, Topology]:
    """Butterflies of all strides, of short ones only, and several in parallel; as they are and re-ordered."""
    n, digits, found = len(near), len(near).bit_length() - 1, {}
    layers = butterfly(n, digits).layers
    found[f"butterfly {fan}"] = butterfly(n, fan)
    for kept in range(2, digits):
        found[f"butterfly, {kept} shortest strides"] = Topology(tuple(layers[at % kept] for at in range(fan)))
    found["butterfly, 4 longest strides"] = Topology(tuple(layers[digits - 1 - at % 4] for at in range(fan)))
    for p in (2, 4, 5):
        if fan % p == 0 and fan // p >= 2 and (p < 5 or n < 256):  # five at 256 would train whole layers of 1280
            found[f"parallel butterfly ({p}, {fan // p})"] = parallel_butterfly(n, p, fan // p)
    order = pairing(near)
    return {**found, **{f"{name}, re-ordered": reordered(one, order) for name, one in found.items()}}


def _patches(kind: str, near: _Near, fan: int) -> dict[str, Topology]:
    """Neurons that see near inputs: in one layer or several, and with some of their inputs anywhere."""
    found = {f"{kind} patches": patches(near, fan)}
    for depth in (2, 4):
        found[f"{kind} patches, {depth} layers"] = Topology(patches(near, fan // depth).layers * depth)
    for anywhere in (fan // 5, 2 * fan // 5, fan // 2, 4 * fan // 5):
        found[f"{kind} patches, {anywhere} random"] = _mixed(near, fan, anywhere)
    second = np.argsort(-near, axis=1, kind="stable")[:, : 2 * fan : 2]
    found[f"{kind} patches of every second"] = one_layer(len(near), second)
    return found


def _mixed(near: _Near, fan: int, anywhere: int) -> Topology:
    """One layer whose neurons see near inputs, and others at random."""
    order = np.argsort(-near, axis=1, kind="stable")
    draw = generator(0, "anywhere", anywhere)
    others = draw.permuted(order[:, fan - anywhere :], axis=1)[:, :anywhere]
    return one_layer(len(near), np.concatenate((order[:, : fan - anywhere], others), axis=1))


def _stretched(side: int, fan: int) -> dict[str, Topology]:
    """Patches on the grid that are wide, tall or full of holes."""
    row, column = np.divmod(np.arange(side * side), side)
    down, across = abs(row[:, None] - row), abs(column[:, None] - column)
    holes = np.where((down + across) % 2, 2 * side, 0)
    metrics = {
        "wide patches": 4 * down + across,
        "tall patches": down + 4 * across,
        "chequered patches": np.hypot(down, across) + holes,
        "patches at every second pixel": np.hypot(down, across) + np.where(down % 2 + across % 2, 2 * side, 0),
        "far patches": -np.hypot(down, across),
    }
    return {name: patches(-apart, fan) for name, apart in metrics.items()}


def _random(n: int, fan: int) -> dict[str, Topology]:
    """Random layers: one or several, with constants or without, regular or not."""
    found = {
        "random regular": random_regular(n, n, n, 1, fan, skip=False),
        "random regular, again": random_regular(n, n, n, 1, fan, 1, skip=False),
        "random regular, a third time": random_regular(n, n, n, 1, fan, 2, skip=False),
        "random expander": expander(n, n, n, 1, fan, skip=False),
        "random, wide between": random_regular(n, n, 2 * n, 2, max(1, fan // 3), skip=False),
        "random, narrow between": random_regular(n, n, n // 2, 2, fan * 2 // 3, skip=False),
    }
    for depth in (2, 4):
        found[f"random regular, {depth} layers"] = random_regular(n, n, n, depth, fan // depth, skip=False)
    for depth in (2, 5, 10):
        if fan % depth == 0:
            found[f"random regular, {depth} layers, skips"] = random_regular(n, n, n, depth, fan // depth + 1)
    return found


def _narrow(near: _Near, fan: int) -> dict[str, Topology]:
    """Low rank, and Clos networks, as they are and re-ordered."""
    n, budget, found = len(near), len(near) * fan, {}
    ranks = [rank for rank in range(1, n) if low_rank(n, n, rank).n_trainable <= budget]
    found["low rank"] = low_rank(n, n, ranks[-1])
    side = 1 << ((n.bit_length() - 1) // 2)
    for ingress in (side // 2, side, 2 * side):
        fitting = [m for m in range(1, n) if clos(n, ingress, m, ingress).n_trainable <= budget]
        if fitting:
            found[f"Clos of {ingress}"] = clos(n, ingress, fitting[-1], ingress)
    order = pairing(near)
    moved = {f"{name}, re-ordered": reordered(one, order) for name, one in found.items() if name != "low rank"}
    return {**found, **moved}
