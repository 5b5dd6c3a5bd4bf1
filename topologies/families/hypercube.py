"""Hypercubes and tori: every layer joins a neuron with its neighbours on a grid, and with itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from math import prod

from topologies.families.arguments import ends, sizes, two_sides, whole
from topologies.families.assemble import assemble
from topologies.families.cropped import (
    Count,
    Neurons,
    Reached,
    SquareLayer,
    cycle_count,
    least_count,
    merged,
    moved_along,
    turned,
)
from topologies.families.digits import factorizations, moved, radices, square_layer, strides
from topologies.families.family import SHARED, Family, Line, depths, handicap, square
from topologies.layer import Layer
from topologies.topology import Topology


def hypercube(n: int, depth: int, *, n_out: int | None = None, skip: bool = True, diagonal: bool = False) -> Topology:
    """Every layer joins a neuron with itself and with all that differ in one digit (the Hamming graph).

    For n a power of two it has n (1 + log2 n) edges a layer; connected from a depth of one layer per digit. Other
    sizes use mixed radices.

    Parameters
    ----------
    n, n_out:
        Inputs and outputs; built at the larger of the two and cropped where they differ.
    depth:
        Layers, from 1.
    skip, diagonal:
        Constant self edges (VII-A); a diagonal layer at the end (appendix A).

    Raises
    ------
    ValueError
        For an inadmissible argument; the message names the nearest admissible one.
    """
    n_in, n_out = two_sides(n, n_out)
    shape = radices(max(n_in, n_out))
    layer = _grid_layer(shape, [range(1, size) for size in shape], skip)
    return assemble([layer] * whole("depth", depth, 1), n_in, n_out, diagonal)


def torus(
    shape: Sequence[int],
    depth: int,
    *,
    n_in: int | None = None,
    n_out: int | None = None,
    skip: bool = True,
    diagonal: bool = False,
) -> Topology:
    """Every layer joins a neuron with itself and with its neighbours, one step either way in every dimension.

    A dimension of 2 has one neighbour. Connected from a depth of the sum of half the sizes, rounded down.

    Parameters
    ----------
    shape:
        Sizes of the dimensions, from 2; their product is the width.
    depth:
        Layers, from 1.
    n_in, n_out:
        Inputs and outputs, at most the width, which is the default; fewer are cropped.
    skip, diagonal:
        Constant self edges (VII-A); a diagonal layer at the end (appendix A).

    Raises
    ------
    ValueError
        For an inadmissible argument; the message names the nearest admissible one.
    """
    shape = sizes("shape", shape, "(8, 4)")
    kept = ends("shape", shape, n_in, n_out)
    layer = _grid_layer(shape, [_ring_steps(size) for size in shape], skip)
    return assemble([layer] * whole("depth", depth, 1), *kept, diagonal)


def _ring_steps(size: int) -> list[int]:
    """One step either way round a ring, which are the same on a ring of two."""
    return sorted({1, size - 1})


def _grid_layer(shape: Sequence[int], steps: Sequence[Sequence[int]], skip: bool) -> Layer:
    """The layer that joins a neuron with itself and, in every dimension, with the neurons some steps further."""
    return square_layer(
        [
            moved(prod(shape), stride, size, by)
            for stride, size, many in zip(strides(shape), shape, steps, strict=True)
            for by in many
        ],
        skip,
    )


@lru_cache(maxsize=1024)
def _hypercube_count(shape: tuple[int, ...], n_in: int, n_out: int) -> Count:
    """Trainable edges by depth."""
    size = prod(shape)
    moves = [(partial(turned, size, stride, radix), radix) for stride, radix in zip(strides(shape), shape, strict=True)]

    def reach(neurons: Neurons) -> Reached:
        """The neurons themselves and those that differ from them in one digit."""
        return merged((neurons, 0), *(moved_along(neurons, move, 1, radix - 1) for move, radix in moves))

    return cycle_count([SquareLayer(1 + sum(size - 1 for size in shape), reach)], n_in, n_out)


@lru_cache(maxsize=1024)
def _torus_count(shape: tuple[int, ...], n_in: int, n_out: int) -> Count:
    """Trainable edges by depth."""
    size = prod(shape)
    moves = [
        partial(turned, size, stride, radix, by=by)
        for stride, radix in zip(strides(shape), shape, strict=True)
        for by in _ring_steps(radix)
    ]

    def reach(neurons: Neurons) -> Reached:
        """The neurons themselves and their neighbours."""
        return merged((neurons, 0), *((move(neurons), 0) for move in moves))

    return cycle_count([SquareLayer(1 + len(moves), reach)], n_in, n_out)


def _hypercube_lines(n_in: int, n_out: int, budget: int, *, shallow: bool = False) -> Iterator[Line]:
    """Every depth from one layer per digit; from 1 if they may be too shallow to be connected."""
    size = max(n_in, n_out)
    shape = radices(size)
    per_layer = size * sum(radix - 1 for radix in shape)
    yield Line(
        depths(1 if shallow else len(shape), per_layer, budget, n_in != n_out),
        lambda depth: {**square(n_in, n_out), "depth": depth},
        _hypercube_count(shape, n_in, n_out),
    )


def _torus_lines(n_in: int, n_out: int, budget: int, *, shallow: bool = False) -> Iterator[Line]:
    """Every shape of the larger side, a ring included, and every depth from its diameter; from 1 if ``shallow``."""
    for shape in factorizations(max(n_in, n_out)):
        yield _torus_line(shape, n_in, n_out, budget, shallow)


def _torus_line(shape: tuple[int, ...], n_in: int, n_out: int, budget: int, shallow: bool) -> Line:
    """All depths of one shape; few layers of many neighbours are better than many layers."""
    size = prod(shape)
    cut = {name: count for name, count in (("n_in", n_in), ("n_out", n_out)) if count != size}
    per_layer = size * sum(min(length - 1, 2) for length in shape)
    diameter = sum(length // 2 for length in shape)

    least = 1 if shallow else diameter

    def wasted(depth: int) -> float:
        return handicap(depth, 0.0, size, deep=0.2, few_paths=0.0)

    return Line(
        depths(least, per_layer, budget, n_in != n_out),
        lambda depth: {"shape": shape, "depth": depth, **cut},
        lambda depth: _torus_count(shape, n_in, n_out)(depth),
        wasted,
        promise=1 - wasted(max(diameter, budget // per_layer)),  # cropping leaves room for more layers, not fewer
        floor=least_count(least, least * (1 + per_layer // size), n_in, n_out),
    )


FAMILIES = (
    Family(
        "hypercube",
        hypercube,
        "each layer joins a neuron with all that differ in one digit",
        {
            "n": "inputs",
            "depth": "layers; connected from one per digit, log2 n",
            **{name: SHARED[name] for name in ("n_out", "skip", "diagonal")},
        },
        "hypercube(32, 6)",
        _hypercube_lines,
        partial(_hypercube_lines, shallow=True),
    ),
    Family(
        "torus",
        torus,
        "each layer joins a neuron with its neighbours on a torus",
        {
            "shape": "sizes of the dimensions; their product is the width",
            "depth": "layers; connected from the sum of half the sizes",
            **{name: SHARED[name] for name in ("n_in", "n_out", "skip", "diagonal")},
        },
        "torus((8, 4), 7)",
        _torus_lines,
        partial(_torus_lines, shallow=True),
    ),
)
