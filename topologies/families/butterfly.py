"""Butterfly networks, and several of them in parallel: the paper's hand-derived answer (VII-E)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log2

import numpy as np

from topologies.families.arguments import nearest, two_sides, whole
from topologies.families.assemble import assemble
from topologies.families.constants import by_number
from topologies.families.cropped import butterfly_count, keeps_constant, least_count
from topologies.families.digits import digit_layers, divisors, log_product, radices
from topologies.families.family import SHARED, Arguments, Family, Line, Member, depths, handicap, listed, square
from topologies.layer import MAX_WIDTH, Layer
from topologies.topology import Topology

_CONSTANTS = ("copies", "output")


def butterfly(
    n: int, depth: int, radix: int = 2, *, n_out: int | None = None, skip: bool = True, diagonal: bool = False
) -> Topology:
    """A butterfly: layer ``l`` joins neurons that agree in all digits except possibly digit ``l``, cyclically.

    It has ``n`` times the sum of its layers' radices edges and is connected from a depth of one layer per digit.
    Other sizes than powers of the radix use mixed radices (48 = 2 * 2 * 2 * 2 * 3; a prime is its own radix).

    Parameters
    ----------
    n, n_out:
        Inputs and outputs; built at the larger of the two and cropped where they differ.
    depth:
        Layers, from 1.
    radix:
        Values of a digit: 2, or a divisor of the size.
    skip, diagonal:
        Constant self edges (VII-A); a diagonal layer at the end (appendix A).

    Raises
    ------
    ValueError
        For an inadmissible argument; the message names the nearest admissible one.
    """
    n_in, n_out = two_sides(n, n_out)
    size = max(n_in, n_out)
    system = radices(size, _radix(radix, size))
    return _butterfly(n_in, n_out, whole("depth", depth, 1), system, 0, skip, diagonal)


def parallel_butterfly(
    n: int,
    p: int,
    d: int,
    *,
    constants: str = "copies",
    n_out: int | None = None,
    skip: bool = True,
    diagonal: bool = False,
) -> Topology:
    """``p`` butterflies of depth ``d`` from the same inputs, outputs summed (VII-E); hidden layers are p * n wide.

    Copy ``c`` starts at digit ``c`` modulo the number of digits. For n a power of two and d >= 2 it has 2 p d n
    edges: p d n trainable where every copy keeps its constants, (p - 1) n more where an output keeps only one.

    Parameters
    ----------
    n, n_out:
        Inputs and outputs; built at the larger of the two and cropped where they differ.
    p, d:
        Copies and layers of each, from 1; several copies need a hidden layer, d >= 2.
    constants:
        "copies": every copy keeps its constant edge at an output, which has p of them. "output": an output keeps
        one, of copy (its number mod p), and trains the others.
    skip, diagonal:
        Constant self edges (VII-A); a diagonal layer at the end (appendix A).

    Raises
    ------
    ValueError
        For an inadmissible argument; the message names the nearest admissible one.
    """
    n_in, n_out = two_sides(n, n_out)
    p, d = whole("p", p, 1, MAX_WIDTH // max(n_in, n_out)), whole("d", d, 1)
    if p > 1 and d == 1:
        raise ValueError(f"d is 1: p = {p} copies need a hidden layer each, the nearest is d = 2, or p = 1")
    if constants not in _CONSTANTS:
        near = nearest(constants, _CONSTANTS)
        raise ValueError(f"constants is {constants!r}: 'copies' or 'output' is wanted, the nearest is {near!r}")
    system = radices(max(n_in, n_out))
    kinds = [_butterfly(n_in, n_out, d, system, start, skip, False) for start in range(min(p, len(system)))]
    layers = list(_side_by_side([kinds[copy % len(system)] for copy in range(p)]))
    if skip:
        last = _one_constant(layers[-1]) if constants == "output" else layers[-1]
        layers[-1] = by_number(last)  # only outputs that cropping left without a constant change
    return assemble(layers, n_in, n_out, diagonal)


def _butterfly(
    n_in: int, n_out: int, depth: int, system: Sequence[int], start: int, skip: bool, diagonal: bool
) -> Topology:
    """The butterfly of the given radices whose first layer changes digit ``start``."""
    by_digit = digit_layers(system, skip)
    layers = [by_digit[(start + place) % len(system)] for place in range(depth)]
    return assemble(layers, n_in, n_out, diagonal)


def _radix(radix: object, size: int) -> int:
    """Radix 2, which stands for the prime factors of any size, or a divisor of the size."""
    wanted = whole("radix", radix, 2)
    choices = sorted({2, *divisors(size)})
    if wanted not in choices:
        near = sorted(sorted(choices, key=lambda choice: abs(choice - wanted))[:2])
        raise ValueError(
            f"radix is {wanted}, which does not divide {size}: the nearest are {', '.join(map(str, near))}"
        )
    return wanted


def _side_by_side(copies: Sequence[Topology]) -> Iterator[Layer]:
    """The layers of several cascades of one depth that share their inputs and their outputs."""
    depth = copies[0].depth
    for place in range(depth):
        parts = [copy.layers[place] for copy in copies]
        before = [0 if place == 0 else part.n_in for part in parts]
        after = [0 if place == depth - 1 else part.n_out for part in parts]
        source_starts, target_starts = np.cumsum([0, *before]), np.cumsum([0, *after])
        yield Layer(
            int(source_starts[-1]) or parts[0].n_in,
            int(target_starts[-1]) or parts[0].n_out,
            np.concatenate([part.sources + start for part, start in zip(parts, source_starts, strict=False)]),
            np.concatenate([part.targets + start for part, start in zip(parts, target_starts, strict=False)]),
            np.concatenate([part.trainable for part in parts]),
        )


def _one_constant(layer: Layer) -> Layer:
    """Of the constant edges of every output, keep the one that its number modulo their count picks."""
    edges = np.flatnonzero(~layer.trainable)
    outputs = layer.targets[edges]
    counts = np.bincount(outputs, minlength=layer.n_out)
    rank = np.arange(edges.size) - (np.cumsum(counts) - counts)[outputs]
    trainable = layer.trainable.copy()
    trainable[edges[rank != outputs % counts[outputs]]] = True
    return Layer(layer.n_in, layer.n_out, layer.sources, layer.targets, trainable)


def _wasted(size: int, fans: float, depth: int, deep: float) -> float:
    """The handicap of a butterfly whose fan-ins have this product."""
    return handicap(depth, fans - log2(size), size, deep, few_paths=0.25)


def _lines(n_in: int, n_out: int, budget: int) -> Iterator[Line]:
    """Every radix that gives other digits than a smaller one, every depth from one layer per digit."""
    size = max(n_in, n_out)
    systems: dict[tuple[int, ...], int] = {}
    for radix in (2, *divisors(size)):
        systems.setdefault(radices(size, radix), radix)
    return (_line(system, radix, n_in, n_out, budget) for system, radix in systems.items())


def _line(system: tuple[int, ...], radix: int, n_in: int, n_out: int, budget: int) -> Line:
    """All depths of one system of digits."""
    size, cropped = max(n_in, n_out), n_in != n_out

    def wasted(depth: int) -> float:
        return _wasted(size, log_product(system, depth), depth, deep=0.02)

    return Line(
        depths(len(system), size * (min(system) - 1), budget, cropped),
        lambda depth: {**square(n_in, n_out), "depth": depth, "radix": radix},
        butterfly_count(system, 0, n_in, n_out),
        wasted,
    )


def _parallel_members(n_in: int, n_out: int, budget: int) -> list[Member]:
    """Every p and d from one layer per digit; for p > 1 both places of the outputs' constants."""
    size, cropped = max(n_in, n_out), n_in != n_out
    copies = _Copies(n_in, n_out)
    lines = []
    # A copy has a trainable edge for each neuron of a square's layer, and for every second one of a cropped layer.
    for p in range(1, (1 + cropped) * budget // size + 1):
        places = min(p, 2)
        deep = depths(max(copies.digits, places), copies.smallest_layer, budget // p, cropped)
        if deep:
            lines.append(_copies_line(copies, p, deep, _CONSTANTS[:places]))
    return listed(parallel_butterfly, lines, budget)


def _copies_line(copies: _Copies, p: int, deep: range, constants: Sequence[str]) -> Line:
    """All depths of ``p`` copies; steps number depths and places of the constants."""
    places = len(constants)
    return Line(
        range(deep.start * places, deep.stop * places),
        lambda step: copies.arguments(p, step // places, constants[step % places]),
        lambda step: copies.count(p, step // places, constants[step % places]),
    )


def _parallel_lines(n_in: int, n_out: int, budget: int) -> Iterator[Line]:
    """The same by depth: what the best depth is does not depend on p, so that few lines are counted."""
    copies = _Copies(n_in, n_out)
    cropped = n_in != n_out
    most = (1 + cropped) * budget // max(n_in, n_out)
    for d in depths(max(copies.digits, 1), copies.smallest_layer, budget, cropped):
        for constants, least in (("copies", 1), ("output", 2)):
            line = _parallel_line(copies, range(least, most + 1), d, constants)
            if line.promise < 0 and d > copies.digits:
                return  # no better than what is shallower, whatever it has of the budget
            if d > 1 or least == 1:
                yield line


def _parallel_line(copies: _Copies, many: range, d: int, constants: str) -> Line:
    """All numbers of copies of one depth."""
    wasted = _wasted(copies.size, d / copies.digits * log2(copies.size), d, deep=0.07)
    return Line(
        many if d > 1 else many[:1],
        lambda p: copies.arguments(p, d, constants),
        lambda p: copies.count(p, d, constants),
        lambda p: wasted,
        promise=1 - wasted,
        floor=many.start * copies.floor(d),
    )


class _Copies:
    """The arguments and counts of the parallel butterflies between two ends."""

    def __init__(self, n_in: int, n_out: int) -> None:
        self._ends, self.size = (n_in, n_out), max(n_in, n_out)
        self._system = radices(self.size)
        self.digits = len(self._system)
        self.smallest_layer = self.size * (min(self._system) - 1)
        self._counts = [butterfly_count(self._system, start, n_in, n_out) for start in range(self.digits)]

    def arguments(self, p: int, d: int, constants: str) -> Arguments:
        """What the family is called with."""
        return {**square(*self._ends), "p": p, "d": d, "constants": constants}

    def floor(self, d: int) -> int:
        """Trainable edges that one copy of a depth has at least."""
        return least_count(d, d * min(self._system), *self._ends)

    def count(self, p: int, d: int, constants: str) -> int:
        """Trainable edges of the member, without building it."""
        rounds, rest = divmod(p, self.digits)
        trained = sum((rounds + (start < rest)) * copy(d) for start, copy in enumerate(self._counts[:p]))
        if p == 1:
            return trained
        held = sum(
            rounds + (start < rest)
            for start in range(min(p, self.digits))
            if keeps_constant(self._system, (start + d - 1) % self.digits, d, *self._ends)
        )
        return trained + (self._ends[1] * (held - 1) if held == 0 or constants == "output" else 0)


FAMILIES = (
    Family(
        "butterfly",
        butterfly,
        "each layer changes one digit of a neuron's number, cyclically",
        {
            "n": "inputs",
            "depth": "layers; connected from one per digit, log2 n",
            "radix": "values of a digit: 2, or a divisor of the size",
            **{name: SHARED[name] for name in ("n_out", "skip", "diagonal")},
        },
        "butterfly(32, 20)",
        _lines,
    ),
    Family(
        "parallel_butterfly",
        parallel_butterfly,
        "p butterflies of depth d side by side, outputs summed: the hand-derived answer",
        {
            "n": "inputs",
            "p": "copies",
            "d": "layers of a copy; connected from log2 n",
            "constants": "'copies': an output keeps a constant edge of every copy; 'output': one in all",
            **{name: SHARED[name] for name in ("n_out", "skip", "diagonal")},
        },
        "parallel_butterfly(32, 2, 10)",
        _parallel_lines,
        listed=_parallel_members,
    ),
)
