"""Topologies to study scores on: as different from one another as one budget allows.

Half are random structured topologies, a quarter members of the registered families, with constants and without, and
a quarter such members after a few steps of variation. Depth is drawn on its own, whatever the widths, fans and
constants are. But for members, no two have the same shape: the same widths, and in every layer as many trainable
and constant edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from evaluators.rng import generator
from evo.variation import fill, mutate, sample
from evo.variation.bounds import Bounds
from topologies.canonical import canonical
from topologies.families import HAND_DERIVED, members
from topologies.layer import Layer
from topologies.topology import Topology

RANDOM, PERTURBED = "random", "perturbed"
"""Families of the topologies that are not members of a registered family."""

_LEAST = 0.95
"""A member spends at least this part of the budget."""
_STEPS = (1, 2, 4, 8)
"""Steps of variation away from a member."""
_TRIES = 20
"""Draws a topology on average, before the budget counts as exhausted."""

_Pool = Mapping[str, Sequence[Topology]]
_Shape = tuple[tuple[int, int, int], ...]


class Sampled(NamedTuple):
    """A topology in canonical form, and where it is from: a registered family, :data:`RANDOM` or :data:`PERTURBED`."""

    family: str
    topology: Topology


def draw_sample(n: int, budget: int, count: int, seed: int) -> tuple[Sampled, ...]:
    """Distinct connected ``n`` x ``n`` topologies of at most ``budget`` trainable edges, and at least 0.95 of it.

    They are a function of the arguments, and the first of a longer tuple are those of a shorter one. Where a family
    runs out of members its place goes to the others.

    Raises
    ------
    ValueError
        For a budget outside ``2n`` to ``n²``, or fewer different topologies than asked for.
    """
    if not 2 * n <= budget <= n * n:
        raise ValueError(f"budget = {budget}: between 2n = {2 * n} and n² = {n * n} for n = {n}")
    bounds = Bounds(budget, max_depth=1 + budget // n, max_width=4 * n, max_edges=2 * budget + n)
    pool = _members(n, budget)
    kinds = (_random, _member, _random, _perturbed)
    found: dict[str, Sampled] = {}
    shapes: set[_Shape] = set()
    for attempt in range(_TRIES * count):
        if len(found) == count:
            break
        draw = generator(seed, "specimen", n, budget, attempt)
        drawn = kinds[attempt % len(kinds)](n, bounds, pool, draw)
        if drawn is not None and (drawn.family in HAND_DERIVED or _shape(drawn.topology) not in shapes):
            topology = canonical(drawn.topology)
            found.setdefault(topology.digest, Sampled(drawn.family, topology))
            shapes.add(_shape(topology))
    if len(found) < count:
        raise ValueError(f"count = {count}: only {len(found)} different topologies found at n = {n}, budget = {budget}")
    return tuple(found.values())


def _random(n: int, bounds: Bounds, pool: _Pool, draw: np.random.Generator) -> Sampled | None:
    topology = sample(n, n, bounds, draw)
    return None if topology is None else Sampled(RANDOM, topology)


def _member(n: int, bounds: Bounds, pool: _Pool, draw: np.random.Generator) -> Sampled | None:
    if not pool:
        return None
    family = sorted(pool)[draw.integers(len(pool))]
    return Sampled(family, pool[family][int(draw.integers(len(pool[family])))])


def _perturbed(n: int, bounds: Bounds, pool: _Pool, draw: np.random.Generator) -> Sampled | None:
    """A member filled up to the budget, and a few steps of variation away from it."""
    parent = _member(n, bounds, pool, draw)
    topology = None if parent is None else fill(parent.topology, bounds, draw)
    for _ in range(int(draw.choice(_STEPS))):
        step = None if topology is None else mutate(topology, bounds, draw)
        topology = None if step is None else step[1]
    return None if topology is None else Sampled(PERTURBED, topology)


def _members(n: int, budget: int) -> dict[str, list[Topology]]:
    """Members of each family that has any near the budget: with constants, and with all edges trainable."""
    pool: dict[str, list[Topology]] = {}
    for family in HAND_DERIVED:
        for member in members(family, n, n, budget):
            if 2 * member.n_trainable < _LEAST * budget:  # constants are no more than trainable edges, or hardly
                continue
            topology = member.topology()
            near = [one for one in (topology, _thawed(topology)) if _LEAST * budget <= one.n_trainable <= budget]
            if near:
                pool.setdefault(family, []).extend(near)
    return pool


def _shape(topology: Topology) -> _Shape:
    """Neurons after each layer of edges, and its edges and trainable edges."""
    return tuple((layer.n_out, layer.n_edges, layer.n_trainable) for layer in topology.layers)


def _thawed(topology: Topology) -> Topology:
    """The same edges, all of them trainable."""
    return Topology(
        tuple(
            Layer(layer.n_in, layer.n_out, layer.sources, layer.targets, np.ones(layer.n_edges, dtype=np.bool_))
            for layer in topology.layers
        )
    )
