"""Block structures: dense and low-rank controls, Monarch and RadiX-Net from the related work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from topologies.families.arguments import ends, side, sizes, two_sides, whole
from topologies.families.assemble import assemble, dense_layer
from topologies.families.digits import digit_layers, factorizations, square_layer, strides
from topologies.families.family import SHARED, Arguments, Family, Member, depths, fitting, square
from topologies.topology import Topology


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


def _dense_members(n_in: int, n_out: int, budget: int) -> list[Member]:
    """The dense layer itself, where the budget allows it."""
    return fitting(dense, [({"n_in": n_in, "n_out": n_out}, n_in * n_out)], budget)


def _low_rank_members(n_in: int, n_out: int, budget: int) -> list[Member]:
    """Every rank that fits."""

    def candidates() -> Iterator[tuple[Arguments, int | None]]:
        for rank in range(1, budget // (n_in + n_out - 2) + 2):
            constants = rank + (n_out if rank > 1 else 0)
            yield {"n_in": n_in, "n_out": n_out, "rank": rank}, rank * (n_in + n_out) - constants

    return fitting(low_rank, candidates(), budget)


def _monarch_members(n_in: int, n_out: int, budget: int) -> list[Member]:
    """Every block size."""
    larger = max(n_in, n_out)

    def candidates() -> Iterator[tuple[Arguments, int | None]]:
        for block in range(2, _largest_block(larger) + 1):
            blocks = _blocks(larger, block)
            exact = n_in == n_out == block * blocks
            yield {**square(n_in, n_out), "block": block}, larger * (block + blocks - 2) if exact else None

    return fitting(monarch, candidates(), budget)


def _radix_net_members(n_in: int, n_out: int, budget: int) -> list[Member]:
    """Every multiset of radices of the larger side, highest radix first, at every depth from one layer per digit."""
    size, cropped = max(n_in, n_out), n_in != n_out
    cut = {name: count for name, count in (("n_in", n_in), ("n_out", n_out)) if count != size}

    def candidates() -> Iterator[tuple[Arguments, int | None]]:
        for radices in factorizations(size):
            for depth in depths(len(radices), size * (min(radices) - 1), budget, cropped):
                count = size * sum(radices[place % len(radices)] - 1 for place in range(depth))
                yield {"radices": radices, "depth": depth, **cut}, None if cropped else count

    return fitting(radix_net, candidates(), budget)


_KINDS = {name: SHARED[name] for name in ("skip", "diagonal")}

FAMILIES = (
    Family(
        "low_rank",
        low_rank,
        "two dense layers with few neurons between: a control",
        {"n_in": "inputs", "n_out": "outputs", "rank": "neurons between the two layers", **_KINDS},
        "low_rank(32, 32, 10)",
        _low_rank_members,
    ),
    Family(
        "dense",
        dense,
        "the one dense layer that a topology replaces: a control",
        {"n_in": "inputs", "n_out": "outputs", **_KINDS},
        "dense(32, 32)",
        _dense_members,
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
        _monarch_members,
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
        _radix_net_members,
    ),
)
