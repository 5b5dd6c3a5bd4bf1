"""Clos networks: three stages of fully connected routers."""

from __future__ import annotations

from collections.abc import Iterator
from math import log2, sqrt

import numpy as np

from topologies.families.arguments import two_sides, whole
from topologies.families.assemble import assemble
from topologies.families.constants import by_number
from topologies.families.family import SHARED, Family, Line, square
from topologies.layer import MAX_WIDTH, Layer
from topologies.topology import Topology

_MOST_COUNTS = 16


def clos(
    n: int,
    ingress: int,
    middle: int,
    egress: int,
    n_out: int | None = None,
    *,
    skip: bool = True,
    diagonal: bool = False,
) -> Topology:
    """A Clos network of ``ingress``, ``middle`` and ``egress`` routers, always connected.

    Every ingress router is joined with every middle router by one line, and so is every egress router. Ports are
    split over the routers as evenly as possible, neighbours together. It has m (n_in + r_in r_out + n_out) edges,
    m (r_in + r_out) + n_out of them constant with ``skip`` where every router has two lines in.

    Parameters
    ----------
    n, n_out:
        Inputs and outputs; ``n_out`` defaults to ``n``.
    ingress, middle, egress:
        Router counts r_in in [1, n], m >= 1 and r_out in [1, n_out].
    skip, diagonal:
        One constant edge per neuron, its source number (its own number mod fan-in); a diagonal layer at the end.

    Raises
    ------
    ValueError
        For an inadmissible argument; the message names the nearest admissible one.
    """
    n_in, n_out = two_sides(n, n_out)
    r_in = whole("ingress", ingress, 1, n_in)
    r_out = whole("egress", egress, 1, n_out)
    m = whole("middle", middle, 1, MAX_WIDTH // max(r_in, r_out))
    # Lines between stages: (ingress a, middle c) is neuron a m + c, (middle c, egress o) is neuron c r_out + o.
    inputs, outputs = np.arange(n_in), np.arange(n_out)
    lines_in, lines_out = np.arange(r_in * m).reshape(r_in, m), np.arange(m * r_out).reshape(m, r_out)
    first = np.repeat(inputs, m), lines_in[inputs * r_in // n_in].ravel()
    second = np.repeat(lines_in.ravel(), r_out), np.tile(lines_out, (r_in, 1)).ravel()
    third = lines_out[:, outputs * r_out // n_out].ravel(), np.tile(outputs, m)
    widths = n_in, r_in * m, m * r_out, n_out
    layers = [
        Layer(before, after, sources, targets, np.ones(sources.size, dtype=np.bool_))
        for before, after, (sources, targets) in zip(widths, widths[1:], (first, second, third), strict=False)
    ]
    return assemble([by_number(layer) for layer in layers] if skip else layers, n_in, n_out, diagonal)


def _trainable(n_in: int, r_in: int, m: int, r_out: int, n_out: int) -> int:
    """Trainable edges with skip; a neuron of a router with one line in has no constant."""
    edges = m * (n_in + r_in * r_out + n_out)
    wide_ingress = min(r_in, n_in - r_in)  # routers of two ports or more, as ports are split evenly
    return edges - m * wide_ingress - (m * r_out if r_in > 1 else 0) - (n_out if m > 1 else 0)


def _router_counts(n: int) -> list[int]:
    """For each number of ports from two up, the fewest routers that have no more, and two at least (n = 32: 2 to 16).

    Counts between these split the ports unevenly and differ little from a neighbour that is listed. Where there are
    more than :data:`_MOST_COUNTS`, so many in equal proportions.
    """
    counts = sorted({-(-n // ports) for ports in range(2, max(3, (n + 1) // 2 + 1))})
    if len(counts) <= _MOST_COUNTS:
        return counts
    wanted = np.geomspace(counts[0], counts[-1], _MOST_COUNTS)
    return sorted({counts[place] for place in np.searchsorted(counts, wanted.round()).tolist()})


def _lines(n_in: int, n_out: int, budget: int) -> Iterator[Line]:
    """Router counts that use their ports well, with every number of middle routers that fits."""
    for r_in in _router_counts(n_in):
        for r_out in _router_counts(n_out):
            yield _line(n_in, r_in, r_out, n_out, budget)


def _line(n_in: int, r_in: int, r_out: int, n_out: int, budget: int) -> Line:
    """All numbers of middle routers between these; trainable edges are linear in them, but for the first."""

    def count(m: int) -> int:
        return _trainable(n_in, r_in, m, r_out, n_out)

    # Best are about as many lines between routers as there are ends, ends shared as evenly on either side.
    uneven = abs(log2(r_in * r_out / (1.2 * sqrt(n_in * n_out))))
    lopsided = abs(log2(r_in * n_out / (n_in * r_out)))
    most = max(1, (budget - count(2)) // (count(3) - count(2)) + 2)
    return Line(
        range(1, most + 1),
        lambda m: {**square(n_in, n_out), "ingress": r_in, "middle": m, "egress": r_out},
        count,
        lambda m: 0.05 * uneven + 0.02 * lopsided,
    )


FAMILIES = (
    Family(
        "clos",
        clos,
        "three stages of fully connected routers; grows in width at depth 3",
        {
            "n": "inputs",
            "ingress": "routers of the first stage, which share the inputs",
            "middle": "routers of the second stage: paths between any two ends",
            "egress": "routers of the third stage, which share the outputs",
            "n_out": "outputs, as many as inputs if not given",
            **{name: SHARED[name] for name in ("skip", "diagonal")},
        },
        "clos(32, 8, 6, 8)",
        _lines,
    ),
)
