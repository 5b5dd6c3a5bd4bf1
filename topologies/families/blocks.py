"""Block structures: dense and low-rank controls, Monarch and RadiX-Net from the related work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import inf, log2, prod

import numpy as np

from topologies.families.arguments import ends, side, sizes, two_sides, whole
from topologies.families.assemble import assemble, dense_layer
from topologies.families.cropped import Count, SquareLayer, cycle_count, least_count, moved_along, turned
from topologies.families.digits import digit_layers, factorizations, log_product, square_layer, strides
from topologies.families.family import SHARED, Family, Line, depths, handicap, square
from topologies.topology import Topology

_MOST_BLOCKS = 256


def dense(n_in: int, n_out: int, *, skip: bool = False, diagonal: bool = False) -> Topology:
    """The dense layer that a topology replaces: one layer, every edge, all trainable unless ``skip`` is set.

    Raises
    ------
    ValueError
        For an inadmissible argument; the message names the nearest admissible one.
    """
    layer = dense_layer(side("n_in", n_in), side("n_out", n_out), skip)
    return assemble([layer], n_in, n_out, diagonal)


def low_rank(n_in: int, n_out: int, rank: int, *, skip: bool = True, diagonal: bool = False) -> Topology:
    """Two dense layers with ``rank`` neurons between: r (n_in + n_out) edges.

    Without ``skip`` it reaches exactly the matrices of that rank.

    Raises
    ------
    ValueError
        For an inadmissible argument; the message names the nearest admissible one.
    """
    rank = whole("rank", rank, 1)
    layers = [dense_layer(side("n_in", n_in), rank, skip), dense_layer(rank, side("n_out", n_out), skip)]
    return assemble(layers, n_in, n_out, diagonal)


def monarch(n: int, block: int, *, n_out: int | None = None, skip: bool = True, diagonal: bool = False) -> Topology:
    """A Monarch product (Dao et al., 2022): dense blocks of neighbours, then dense blocks across them.

    Layer 0 joins neurons of the same block of ``block`` neighbours, layer 1 those at the same place of their
    blocks. One path joins every pair. Built at the smallest multiple of ``block``, two blocks at least, that
    holds ``n`` and ``n_out``, and cropped where that is larger.

    Parameters
    ----------
    n, n_out:
        Inputs and outputs.
    block:
        Neurons in a block of the first layer, from 2 to half of the larger side, rounded up.
    skip, diagonal:
        Constant self edges (VII-A); a diagonal layer at the end (appendix A).

    Raises
    ------
    ValueError
        For an inadmissible argument; the message names the nearest admissible one.
    """
    n_in, n_out = two_sides(n, n_out)
    larger = max(n_in, n_out)
    block = whole("block", block, 2, _largest_block(larger))
    return assemble(digit_layers((block, _blocks(larger, block)), skip), n_in, n_out, diagonal)


def radix_net(
    radices: Sequence[int],
    depth: int | None = None,
    *,
    n_in: int | None = None,
    n_out: int | None = None,
    skip: bool = True,
    diagonal: bool = False,
) -> Topology:
    """A RadiX-Net (Robinett and Kepner, 2019), without its dense widening.

    With place value v and radix r of digit ``l``, layer ``l`` joins neuron ``i`` with ``i - k v`` for k in [0, r),
    modulo the width: a butterfly whose digits carry. Digits repeat cyclically; connected from one layer per digit.

    Parameters
    ----------
    radices:
        Numbers from 2, lowest digit first; their product is the width.
    depth:
        Layers, one per digit if not given.
    n_in, n_out:
        Inputs and outputs, at most the width, which is the default; fewer are cropped.
    skip, diagonal:
        Constant self edges (VII-A); a diagonal layer at the end (appendix A).

    Raises
    ------
    ValueError
        For an inadmissible argument; the message names the nearest admissible one.
    """
    radices = sizes("radices", radices, "(4, 4, 2)")
    kept = ends("radices", radices, n_in, n_out)
    neurons = np.arange(prod(radices))
    by_digit = [
        square_layer([(neurons - step * place) % neurons.size for step in range(1, radix)], skip)
        for place, radix in zip(strides(radices), radices, strict=True)
    ]
    depth = whole("depth", len(radices) if depth is None else depth, 1)
    return assemble([by_digit[place % len(radices)] for place in range(depth)], *kept, diagonal)


def _largest_block(larger: int) -> int:
    return max(2, (larger + 1) // 2)


def _blocks(larger: int, block: int) -> int:
    """Blocks of the first layer, two at least."""
    return max(2, -(-larger // block))


def _dense_lines(n_in: int, n_out: int, budget: int) -> list[Line]:
    """The dense layer itself, where the budget allows it."""
    return [Line(range(1), lambda _: {"n_in": n_in, "n_out": n_out}, lambda _: n_in * n_out)]


def _low_rank_lines(n_in: int, n_out: int, budget: int) -> list[Line]:
    """Every rank that fits."""

    def count(rank: int) -> int:
        constants = (rank if n_in > 1 else 0) + (n_out if rank > 1 else 0)
        return rank * (n_in + n_out) - constants

    ranks = range(1, (budget + n_out) // (n_in + n_out - 1) + 2)
    return [Line(ranks, lambda rank: {"n_in": n_in, "n_out": n_out, "rank": rank}, count)]


def _monarch_lines(n_in: int, n_out: int, budget: int) -> Iterator[Line]:
    """Every block size; at large sizes, :data:`_MOST_BLOCKS` in equal proportions."""
    largest = _largest_block(max(n_in, n_out))
    sizes: Iterable[int] = range(2, largest + 1)
    if largest > _MOST_BLOCKS:
        sizes = np.unique(np.geomspace(2, largest, _MOST_BLOCKS).round().astype(int)).tolist()
    for block in sizes:
        yield Line(
            range(block, block + 1),
            lambda block: {**square(n_in, n_out), "block": block},
            lambda block: _monarch_count(n_in, n_out, block),
        )


def _monarch_count(n_in: int, n_out: int, block: int) -> int:
    """Trainable edges with skip, whatever is cropped: hidden neurons have a block of inputs and a place of outputs."""
    blocks, places = -(-n_in // block), min(block, n_out)
    several = blocks - (n_in % block == 1)  # blocks of two inputs or more
    return n_in * places - several * places + n_out * blocks - (n_out if blocks > 1 else 0)


def _radix_net_lines(n_in: int, n_out: int, budget: int) -> Iterator[Line]:
    """Every multiset of radices of the larger side, highest radix first, at every depth from one layer per digit."""
    for radices in factorizations(max(n_in, n_out)):
        yield _radix_net_line(radices, n_in, n_out, budget)


@lru_cache(maxsize=4096)
def _radix_net_count(radices: tuple[int, ...], n_in: int, n_out: int) -> Count:
    """Trainable edges by depth."""
    size = prod(radices)

    def layer(place: int, radix: int) -> SquareLayer:
        """Neuron ``i`` with ``i - k place``, k < radix, on the ring of all."""

        def move(neurons: int, by: int) -> int:
            return turned(size, 1, size, neurons, by * place)

        return SquareLayer(radix, lambda neurons: moved_along(neurons, move, 0, radix))

    layers = [layer(place, radix) for place, radix in zip(strides(radices), radices, strict=True)]
    return cycle_count(layers, n_in, n_out)


def _radix_net_line(radices: tuple[int, ...], n_in: int, n_out: int, budget: int) -> Line:
    """All depths of one system of digits."""
    size, cropped = prod(radices), n_in != n_out
    cut = {name: count for name, count in (("n_in", n_in), ("n_out", n_out)) if count != size}
    whole_layers = [size * (radix - 1) for radix in radices]

    def wasted(depth: int) -> float:
        return handicap(depth, log_product(radices, depth) - log2(size), size, deep=0.06, few_paths=0.7)

    deep = depths(len(radices), size * (min(radices) - 1), budget, cropped)
    shallowest = max(len(radices), len(radices) * budget // sum(whole_layers) - 1)
    return Line(
        deep,
        lambda depth: {"radices": radices, "depth": depth, **cut},
        lambda depth: _radix_net_count(radices, n_in, n_out)(depth),
        wasted,
        promise=1 - handicap(shallowest, inf, size, deep=0.06, few_paths=0.7),
        floor=least_count(len(radices), sum(radices), n_in, n_out),
    )


_KINDS = {name: SHARED[name] for name in ("skip", "diagonal")}

FAMILIES = (
    Family(
        "low_rank",
        low_rank,
        "two dense layers with few neurons between: a control",
        {"n_in": "inputs", "n_out": "outputs", "rank": "neurons between the two layers", **_KINDS},
        "low_rank(32, 32, 10)",
        _low_rank_lines,
    ),
    Family(
        "dense",
        dense,
        "the one dense layer that a topology replaces: a control",
        {"n_in": "inputs", "n_out": "outputs", **_KINDS},
        "dense(32, 32)",
        _dense_lines,
    ),
    Family(
        "monarch",
        monarch,
        "dense blocks of neighbours, then dense blocks across them",
        {
            "n": "inputs",
            "block": "neurons in a block of the first layer",
            "n_out": SHARED["n_out"],
            **_KINDS,
        },
        "monarch(32, 8)",
        _monarch_lines,
    ),
    Family(
        "radix_net",
        radix_net,
        "a butterfly on cyclic distances: each layer adds a multiple of a place value",
        {
            "radices": "their product is the width",
            "depth": "layers, one per radix if not given",
            **{name: SHARED[name] for name in ("n_in", "n_out")},
            **_KINDS,
        },
        "radix_net((4, 4, 2), depth=6)",
        _radix_net_lines,
    ),
)
