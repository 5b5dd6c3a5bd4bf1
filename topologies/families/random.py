"""Random layers: the controls that any claim for a structured topology has to beat.

They differ in what is held fixed: both fans (``random_regular``), the fan-in (``expander``, the X-Net of the
related work), or only the expected density (``bernoulli``). Their members: :mod:`.random_members`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from topologies.families.arguments import side, whole
from topologies.families.assemble import assemble
from topologies.families.constants import evenly
from topologies.layer import Layer
from topologies.shuffle import there_once
from topologies.topology import Topology

_Numbers = NDArray[np.integer]
_Draw = Callable[[int, int, np.random.Generator], Layer]
_SWEEPS = 10  # each proposes a switch for every edge; shared sources of two neurons settle within five


def random_regular(
    n_in: int,
    n_out: int,
    width: int,
    depth: int,
    fan_in: int,
    seed: int = 0,
    *,
    skip: bool = True,
    diagonal: bool = False,
) -> Topology:
    """Every neuron has exactly ``fan_in`` sources, constants included, and fan-outs of a layer differ by one at most.

    Parameters
    ----------
    n_in, n_out, width, depth:
        Inputs, outputs, neurons of a hidden layer, layers.
    fan_in:
        Edges into a neuron, at most as many as the narrowest layer has sources.
    seed:
        Names one topology for good.
    skip, diagonal:
        One constant edge per neuron, from each source about equally often; a diagonal layer at the end.

    Raises
    ------
    ValueError
        For an inadmissible argument; the message names the nearest admissible one.
    """
    fan_in = _fan_in(n_in, width, depth, fan_in)
    return _cascade(
        lambda before, after, generator: _regular_layer(before, after, fan_in, generator),
        n_in, n_out, width, depth, seed, skip, diagonal,
    )  # fmt: skip


def expander(
    n_in: int,
    n_out: int,
    width: int,
    depth: int,
    fan_in: int,
    seed: int = 0,
    *,
    skip: bool = True,
    diagonal: bool = False,
) -> Topology:
    """An X-Net: every neuron draws ``fan_in`` different sources on its own, so fan-outs are uneven.

    Parameters and errors are those of :func:`random_regular`.
    """
    fan_in = _fan_in(n_in, width, depth, fan_in)
    return _cascade(
        lambda before, after, generator: _drawn_layer(before, after, fan_in, generator),
        n_in, n_out, width, depth, seed, skip, diagonal,
    )  # fmt: skip


def bernoulli(
    n_in: int,
    n_out: int,
    width: int,
    depth: int,
    density: float,
    seed: int = 0,
    *,
    skip: bool = True,
    diagonal: bool = False,
) -> Topology:
    """Every edge is there with probability ``density``, whatever the others do (III); a neuron may be left without.

    Parameters
    ----------
    n_in, n_out, width, depth:
        Inputs, outputs, neurons of a hidden layer, layers.
    density:
        In (0, 1]. A higher one with the same seed keeps all edges of a lower one.
    seed:
        Names one topology for good.
    skip, diagonal:
        One constant edge per neuron of two edges or more, spread over the sources; a diagonal layer at the end.

    Raises
    ------
    ValueError
        For an inadmissible argument; the message names the nearest admissible one.
    """
    if isinstance(density, bool) or not isinstance(density, int | float) or not 0 < density <= 1:
        raise ValueError(f"density is {density!r}: a number above 0 and at most 1 is wanted, such as 0.5")
    return _cascade(
        lambda before, after, generator: Layer.from_mask(generator.random((before, after)) < density),
        n_in, n_out, width, depth, seed, skip, diagonal,
    )  # fmt: skip


def _cascade(
    draw: _Draw, n_in: int, n_out: int, width: int, depth: int, seed: int, skip: bool, diagonal: bool
) -> Topology:
    """``depth`` layers drawn one after the other from one generator; ``skip`` changes no edge, only its kind."""
    hidden = [whole("width", width, 1)] * (whole("depth", depth, 1) - 1)
    widths = [side("n_in", n_in), *hidden, side("n_out", n_out)]
    generator = np.random.default_rng(whole("seed", seed, 0, 2**63))
    layers = [draw(before, after, generator) for before, after in pairwise(widths)]
    return assemble([evenly(layer) for layer in layers] if skip else layers, n_in, n_out, diagonal)


def _fan_in(n_in: int, width: int, depth: int, fan_in: object) -> int:
    """A fan-in that every layer has sources for."""
    narrowest = (
        side("n_in", n_in) if whole("depth", depth, 1) == 1 else min(side("n_in", n_in), whole("width", width, 1))
    )
    return whole("fan_in", fan_in, 1, narrowest)


def _regular_layer(n_in: int, n_out: int, fan_in: int, generator: np.random.Generator) -> Layer:
    """Fan-ins equal and fan-outs within one of each other: a ring of windows over the sources, switched at random.

    Neuron ``k`` starts with ``fan_in`` neighbouring sources from ``k * n_in // n_out`` on. A switch exchanges the
    sources of two edges, which changes no fan.
    """
    numbers, window = np.arange(n_out)[:, None], np.arange(fan_in)
    sources = generator.permutation(n_in)[(numbers * n_in // n_out + window) % n_in].ravel()
    targets = np.repeat(generator.permutation(n_out), fan_in)
    for _ in range(_SWEEPS):
        sources = switched(sources, targets, n_in, generator)
    return Layer(n_in, n_out, sources, targets, np.ones(sources.size, dtype=np.bool_))


def switched(sources: _Numbers, targets: _Numbers, n_in: int, generator: np.random.Generator) -> _Numbers:
    """Pair the edges up at random and exchange the sources of each pair where that doubles no edge."""
    order = generator.permutation(sources.size)
    half = sources.size // 2
    one, other = order[:half], order[half : 2 * half]
    crossed = np.stack((targets[one] * n_in + sources[other], targets[other] * n_in + sources[one]))
    there_or_wanted = np.concatenate((targets * n_in + sources, crossed.ravel()))
    free = there_once(crossed, there_or_wanted).all(axis=0)
    one, other = one[free], other[free]
    changed = sources.copy()
    changed[one], changed[other] = sources[other], sources[one]
    return changed


def _drawn_layer(n_in: int, n_out: int, fan_in: int, generator: np.random.Generator) -> Layer:
    """Each neuron's sources are a random subset of their own."""
    subsets = generator.random((n_out, n_in)).argsort(axis=1)[:, :fan_in]
    return Layer(
        n_in, n_out, subsets.ravel(), np.repeat(np.arange(n_out), fan_in), np.ones(subsets.size, dtype=np.bool_)
    )
