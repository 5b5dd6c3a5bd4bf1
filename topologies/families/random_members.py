"""The members of the random families: which of them are connected, without building them where that is much work."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import ceil, exp, floor, inf, log2, prod, sqrt

from topologies.families.family import SHARED, Arguments, Build, Family, Line, Lines, Member, handicap, proven, settled
from topologies.families.random import bernoulli, expander, random_regular

_Shape = dict[str, int]
_DEPTHS = range(2, 11)  # deeper controls leave too few edges a neuron, and one layer is connected only when dense
_SMALL = 1 << 12  # inputs times outputs
_MOST_WORK = 1 << 21  # the larger side times edges, of a topology that is built to see whether it is connected
_DOUBT = 1e-4  # unconnected pairs expected, of what is taken for connected
_HOPELESS = 5.0  # and of what is not even built
_PARTS = 10_000  # of a density
_BERNOULLI_WEIGHTS = {"deep": 0.02, "few_paths": 0.2, "narrow": 0.5, "unused": 0.2}  # of its handicaps


def _grid(n_in: int, n_out: int) -> Iterator[_Shape]:
    """Hidden widths of a half, one, one and a half and two times the larger side, at depths 2 to 10, seed 0."""
    larger = max(n_in, n_out)
    for width in ((larger + 1) // 2, larger, (3 * larger + 1) // 2, 2 * larger):
        for depth in _DEPTHS:
            yield {"n_in": n_in, "n_out": n_out, "width": width, "depth": depth}


def _connected(build: Build, candidates: Iterable[Arguments], budget: int) -> list[Member]:
    """Those that fit and turn out connected; a random topology has to be built to know."""
    found = (proven(build, arguments, budget) for arguments in candidates)
    return [one for one in found if one is not None]


def _settled(build: Build, lines: Iterable[Line], budget: int) -> list[Member]:
    """Each line's largest step, where that is connected."""
    found = (settled(build, line, step, budget) for line in lines for step in line.largest(budget))
    return [one for one in found if one is not None]


def _is_small(n_in: int, n_out: int) -> bool:
    """Whether every member of the grid is built to see whether it is connected; of one input there are others."""
    return n_in > 1 and n_in * n_out <= _SMALL


def _fan_in_members(build: Build, lines: Lines) -> Callable[[int, int, int], list[Member]]:
    """The rule of the two families of fixed fan-in: at each width and depth the largest fan-in that fits."""

    def candidates(n_in: int, n_out: int, budget: int) -> Iterator[Arguments]:
        for shape in _grid(n_in, n_out):
            neurons = shape["width"] * (shape["depth"] - 1) + n_out
            fan_in = min(budget // neurons + 1, n_in, shape["width"])
            if fan_in >= 2 and fan_in ** shape["depth"] >= n_in:  # fewer paths than inputs cannot connect
                yield {**shape, "fan_in": fan_in}

    def members(n_in: int, n_out: int, budget: int) -> list[Member]:
        if _is_small(n_in, n_out):
            return _connected(build, candidates(n_in, n_out, budget), budget)
        return _settled(build, lines(n_in, n_out, budget), budget)

    return members


def _bernoulli_members(n_in: int, n_out: int, budget: int) -> list[Member]:
    """At each width and depth the density, in hundredths, expected two standard deviations below the budget."""

    def candidates() -> Iterator[Arguments]:
        for shape in _grid(n_in, n_out):
            hundredths = _hundredths(budget, 100, 2, *_neurons_and_places(n_in, n_out, shape))
            if hundredths >= 1:
                yield {**shape, "density": hundredths / 100}

    if _is_small(n_in, n_out):
        return _connected(bernoulli, candidates(), budget)
    return _settled(bernoulli, _bernoulli_lines(n_in, n_out, budget), budget)


def _neurons_and_places(n_in: int, n_out: int, shape: _Shape) -> tuple[int, int]:
    """Neurons behind the inputs, and places that edges may take."""
    width, inner = shape["width"], shape["depth"] - 2
    return width * (inner + 1) + n_out, width * (n_in + inner * width + n_out)


def _hundredths(budget: int, parts: int, deviations: int, neurons: int, places: int) -> int:
    """The density whose edges, less a constant one a neuron, are expected so far below the budget."""
    edges = budget + neurons
    return min(parts, floor(parts * (edges - deviations * sqrt(edges)) / places))


def _shapes(n_in: int, n_out: int) -> Iterator[_Shape]:
    """The grid, and narrower widths down to the smaller side."""
    yield from _grid(n_in, n_out)
    width = (max(n_in, n_out) + 3) // 4
    while width >= min(n_in, n_out):
        for depth in _DEPTHS:
            yield {"n_in": n_in, "n_out": n_out, "width": width, "depth": depth}
        width = -(-width // 2) if width > 1 else 0


def _wasted(shape: _Shape, fan: float, *, deep: float, few_paths: float, narrow: float, unused: float = 0.0) -> float:
    """The handicap of a shape whose neurons have ``fan`` edges to either side.

    ``narrow`` is that of hidden layers far below the mean of both sides, ``unused`` that of the neurons of a hidden
    layer which nobody draws as a source.
    """
    n_in, n_out, depth = shape["n_in"], shape["n_out"], shape["depth"]
    missing = max(0.0, 1 - shape["width"] / sqrt(n_in * n_out))
    log_paths = depth * log2(fan) - log2(n_in)
    waste = handicap(depth, log_paths, max(n_in, n_out), deep, few_paths) + narrow * missing
    return waste + unused * (depth - 1) * exp(-fan)


def _extinct(fans: Iterable[float]) -> float:
    """Probability that what starts from one neuron dies out, where a neuron of layer t has Poisson many successors."""
    rest = 0.0
    for fan in reversed(list(fans)):
        rest = exp(-fan * (1 - rest))
    return rest


def _unconnected(n_in: int, n_out: int, forward: Sequence[float], backward: Sequence[float], paths: float) -> float:
    """Pairs expected to be unconnected, of uneven fans whose means are ``forward`` and ``backward``.

    What starts from one end and does not die out early is missed by the other with probability exp(-paths).
    """
    return n_in * _extinct(forward) + n_out * _extinct(backward) + n_in * n_out * exp(-paths)


def _fan_in_lines(uneven: bool, **weights: float) -> Lines:
    """Lines of growing fan-in, whose fan-outs are ``uneven`` or not."""

    def lines(n_in: int, n_out: int, budget: int) -> Iterator[Line]:
        for shape in _shapes(n_in, n_out):
            line = _fan_in_line(n_in, n_out, budget, shape, uneven, weights)
            if line is not None:
                yield line

    return lines


def _fan_in_line(
    n_in: int, n_out: int, budget: int, shape: _Shape, uneven: bool, weights: Mapping[str, float]
) -> Line | None:
    """All fan-ins of one shape that use all inputs and neurons; None where there are none."""
    width, depth = shape["width"], shape["depth"]
    neurons = width * (depth - 1) + n_out
    most = min(budget // neurons + 1, n_in, width)
    least = max(min(2, n_in), -(-n_in // width), -(-width // n_out) if n_out > 1 else 1, ceil(n_in ** (1 / depth)))

    def count(fan_in: int) -> int:
        return neurons * max(1, fan_in - 1)

    def paths(fan_in: int) -> float:
        return float(fan_in) ** depth / n_in

    def unconnected(fan_in: int) -> float:
        forward = [width * fan_in / n_in, *[fan_in] * (depth - 2), n_out * fan_in / width] if uneven else [inf]
        if fan_in == n_in:  # the first hidden layer sees all inputs, and every neuron has a source
            return 0.0
        return _unconnected(n_in, n_out, forward, [inf], paths(fan_in))

    limit = _HOPELESS if max(n_in, n_out) * neurons * most <= _MOST_WORK else _DOUBT
    steps = range(least, most + 1)
    steps = steps[bisect_left(steps, True, key=lambda fan_in: unconnected(fan_in) < limit) :]
    if not steps:
        return None
    return Line(
        steps,
        lambda fan_in: {**shape, "fan_in": fan_in},
        count,
        lambda fan_in: _wasted(shape, fan_in, **weights),
        lambda fan_in: unconnected(fan_in) < _DOUBT,
    )


def _bernoulli_lines(n_in: int, n_out: int, budget: int) -> Iterator[Line]:
    """At each width and depth one density; where building is too much work, far enough below the budget to be safe."""
    for shape in _shapes(n_in, n_out):
        neurons, places = _neurons_and_places(n_in, n_out, shape)
        small = max(n_in, n_out) * (budget + neurons) <= _MOST_WORK
        complete = _complete(n_in, n_out, shape) <= budget
        parts = _PARTS if complete else _hundredths(budget, _PARTS, 2 if small else 6, neurons, places)
        doubt = _bernoulli_unconnected(n_in, n_out, shape, parts / _PARTS)
        if parts >= 1 and doubt < (_HOPELESS if small else _DOUBT):
            yield _bernoulli_line(n_in, n_out, shape, parts, certain=parts == _PARTS or not small)


def _bernoulli_unconnected(n_in: int, n_out: int, shape: _Shape, density: float) -> float:
    """Pairs expected to be unconnected; none where all edges are there."""
    fans = [density * width for width in (n_in, *[shape["width"]] * (shape["depth"] - 1), n_out)]
    paths = prod(fans[:-1]) / n_in
    return 0.0 if density == 1 else _unconnected(n_in, n_out, fans[1:], fans[-2::-1], paths)


def _complete(n_in: int, n_out: int, shape: _Shape) -> int:
    """Trainable edges where all edges are there."""
    widths = [n_in, *[shape["width"]] * (shape["depth"] - 1), n_out]
    return sum(after * max(1, before - 1) for before, after in pairwise(widths))


def _bernoulli_line(n_in: int, n_out: int, shape: _Shape, parts: int, certain: bool) -> Line:
    """The one density of a shape, in parts of :data:`_PARTS`."""
    neurons, places = _neurons_and_places(n_in, n_out, shape)

    def count(parts: int) -> int:
        if parts == _PARTS:
            return _complete(n_in, n_out, shape)
        edges = parts / _PARTS * places
        return max(1, round(edges + (5 if certain else 2) * sqrt(edges)) - neurons)

    return Line(
        range(parts, parts + 1),
        lambda parts: {**shape, "density": parts / _PARTS},
        count,
        lambda parts: _wasted(shape, parts / _PARTS * shape["width"], **_BERNOULLI_WEIGHTS),
        lambda _: certain,
    )


_REGULAR_LINES = _fan_in_lines(uneven=False, deep=0.005, few_paths=0.15, narrow=0.3)
_EXPANDER_LINES = _fan_in_lines(uneven=True, deep=0.01, few_paths=0.3, narrow=0.3, unused=0.5)

_ENDS = {
    "n_in": "inputs",
    "n_out": "outputs",
    "width": "neurons of a hidden layer",
    "depth": "layers",
}
_SEED = {"seed": "names one topology for good", **{name: SHARED[name] for name in ("skip", "diagonal")}}

FAMILIES = (
    Family(
        "random_regular",
        random_regular,
        "random edges with equal fan-ins and balanced fan-outs: the control to beat",
        {**_ENDS, "fan_in": "edges into a neuron, constants included", **_SEED},
        "random_regular(32, 32, 32, 5, 5)",
        _REGULAR_LINES,
        listed=_fan_in_members(random_regular, _REGULAR_LINES),
    ),
    Family(
        "expander",
        expander,
        "X-Net: every neuron draws its sources on its own, fan-outs are uneven",
        {**_ENDS, "fan_in": "edges into a neuron, constants included", **_SEED},
        "expander(32, 32, 32, 5, 5)",
        _EXPANDER_LINES,
        listed=_fan_in_members(expander, _EXPANDER_LINES),
    ),
    Family(
        "bernoulli",
        bernoulli,
        "every edge is there with the same probability, whatever the others do",
        {**_ENDS, "density": "probability of an edge", **_SEED},
        "bernoulli(32, 32, 32, 5, 0.2)",
        _bernoulli_lines,
        listed=_bernoulli_members,
    ),
)
