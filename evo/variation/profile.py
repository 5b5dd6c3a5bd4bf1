"""The profile of a topology: its layers' statistics relative to its size, from which it can be made at other sizes.

A champion is an answer for one size. Its wiring does not travel, but most of what makes it good are the widths and the
numbers of edges of its layers (:mod:`evo.variation.redraw`), and those do.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evo.variation.bounds import Bounds
from evo.variation.redraw import drawn
from evo.variation.repair import repair
from topologies.families.rule import least_budget
from topologies.topology import Topology

_TRIES = 3
"""Wirings of these widths that are tried before the hidden layers are made narrower."""
_SHRINK = 0.85
"""Hidden widths are multiplied by it where a topology is too thin to be connected, and divided where it is too full."""
_CHANGES = 60
"""How often that is done at most."""


@dataclass(frozen=True)
class Profile:
    """What of a topology does not depend on its size. Its depth is the number of ``shares``.

    Parameters
    ----------
    widths:
        Neurons of each hidden layer, over those at its place on the way from inputs to outputs in equal ratios:
        ``n_in ** (1 - x) * n_out ** x`` at ``x`` from 0 to 1.
    shares:
        Each layer's part of the trainable edges.
    constants:
        Constant edges into a neuron of each layer, in the mean.
    """

    widths: tuple[float, ...]
    shares: tuple[float, ...]
    constants: tuple[float, ...]

    @classmethod
    def of(cls, topology: Topology) -> Profile:
        """The profile of a topology."""
        straight = _straight(topology.n_in, topology.n_out, topology.depth)
        constants = [layer.n_edges - layer.n_trainable for layer in topology.layers]
        return cls(
            widths=tuple((np.array(topology.widths[1:-1]) / straight).tolist()),
            shares=tuple(layer.n_trainable / topology.n_trainable for layer in topology.layers),
            constants=tuple(number / layer.n_out for number, layer in zip(constants, topology.layers, strict=True)),
        )


def instantiate(profile: Profile, n_in: int, n_out: int, budget: int, seed: int = 0) -> Topology:
    """The topology of this profile for another size, with exactly ``budget`` trainable edges, wired by ``seed``.

    Hidden layers are narrower than the profile says where so few edges would not connect every input with every
    output, and wider where so many would not fit.

    Raises
    ------
    ValueError
        For a budget above a dense layer's, or below what connects all inputs with all outputs at this depth.
    """
    if not least_budget(n_in, n_out) <= budget <= n_in * n_out:
        raise ValueError(
            f"{budget} trainable edges: for {n_in} x {n_out} it is between {least_budget(n_in, n_out)} and "
            f"{n_in * n_out}, those of a dense layer"
        )
    depth = len(profile.shares)
    hidden = _straight(n_in, n_out, depth) * np.array(profile.widths)
    for _ in range(_CHANGES):
        widths = [n_in, *(max(1, round(width)) for width in hidden), n_out]
        sizes = [before * after for before, after in pairwise(widths)]
        wanted = [round(kept * width) for kept, width in zip(profile.constants, widths[1:], strict=True)]
        constants = [min(number, size - 1) for number, size in zip(wanted, sizes, strict=True)]
        if sum(sizes) - sum(constants) < budget:
            if depth == 1:
                constants = [sizes[0] - budget]
            else:
                hidden = hidden / _SHRINK
                continue
        for attempt in range(_TRIES):
            generator = np.random.default_rng([seed, attempt])
            topology = _wired(profile, widths, constants, budget, generator)
            if topology is not None:
                return topology
        if max(widths[1:-1], default=1) == 1:
            break
        hidden = hidden * _SHRINK
    raise ValueError(f"{budget} trainable edges are too few for {depth} layers between {n_in} and {n_out} neurons")


def _straight(n_in: int, n_out: int, depth: int) -> NDArray[np.float64]:
    """Widths of hidden layers that go from inputs to outputs in equal ratios, ``(depth - 1,)``."""
    places = np.arange(1, depth) / depth
    return np.asarray(n_in ** (1 - places) * n_out**places)


def _wired(
    profile: Profile, widths: list[int], constants: list[int], budget: int, generator: np.random.Generator
) -> Topology | None:
    """A topology of these widths and constant edges, every layer wired at random with even fans; None if it fails."""
    masks = drawn(widths, constants, profile.shares, budget, generator)
    return repair(masks, Bounds(budget, len(masks), max(widths), budget + sum(constants)), generator)
