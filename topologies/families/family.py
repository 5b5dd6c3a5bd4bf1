"""What the registry holds: a family of topologies, and a member of one."""

from __future__ import annotations

import inspect
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import log2
from typing import Any

from topologies.families.arguments import both_sides, whole
from topologies.topology import Topology

MOST = 4096
"""Members that are listed of a family; all of them where it has no more, as at 32 x 32."""
MAX_BUDGET = 1 << 40
"""More trainable edges than anyone could build."""

_TRIES = 24  # random topologies that fit builds to find a connected one

Build = Callable[..., Topology]
Arguments = dict[str, Any]

SHARED = {
    "n_in": "inputs; fewer than were built are cropped",
    "n_out": "outputs; cropped too where the family is square",
    "skip": "one edge of every neuron is the constant 1 (VII-A)",
    "diagonal": "append one trainable edge per output (appendix A)",
}
"""Meanings of the parameters that most families have."""


@dataclass(frozen=True)
class Member:
    """A connected topology of a family, not yet built.

    ``expression`` is its canonical text, ``n_trainable`` its trainable edges (of a large ``bernoulli``, which nobody
    built to count them, a bound), ``arguments`` what its family is called with.
    """

    expression: str
    n_trainable: int
    arguments: Arguments = field(compare=False, repr=False)
    build: Build = field(compare=False, repr=False)

    def topology(self) -> Topology:
        """Build it."""
        return self.build(**self.arguments)


@dataclass(frozen=True)
class Line:
    """Members of a family that differ in one number: how deep, how wide. None of them is built.

    Parameters
    ----------
    steps:
        Values of that number, from the least that connects; a range that ends where the budget does, or soon after.
    arguments, count:
        What the family is called with at a step, and the trainable edges which that gives.
    handicap:
        The share of a budget that a step's shape wastes: of two members of one family, that whose trainable edges
        less this share are more has the lower error (chosen by `python -m tests.benchmarks.fit`).
    certain:
        Whether it is known, without building it, that a step is connected and has no more edges than ``count`` says.
    promise:
        What no step's share of the budget less its handicap can exceed, where counting costs more than that bound.
    floor:
        A number of trainable edges that no step is below, where counting costs more than that bound.
    """

    steps: range
    arguments: Callable[[int], Arguments]
    count: Callable[[int], int]
    handicap: Callable[[int], float] = lambda step: 0.0
    certain: Callable[[int], bool] = lambda step: True
    promise: float = 1.0
    floor: int = 0

    def fitting(self, budget: int) -> list[int]:
        """The steps of at most ``budget`` trainable edges."""
        return [step for step in self.steps if self.count(step) <= budget] if self.floor <= budget else []

    def largest(self, budget: int, number: int = 1) -> list[int]:
        """The last few steps that fit; bisected, so steps below may be the last where cropping makes counts uneven."""
        if self.floor > budget:
            return []
        end = bisect_right(self.steps, budget, key=self.count)
        return [step for step in self.steps[max(0, end - number) : end] if self.count(step) <= budget]


Lines = Callable[[int, int, int], Iterable[Line]]
"""The lines of a family at ``(n_in, n_out, budget)``; at large sizes not all of them, but some near every other."""


@dataclass(frozen=True)
class Family:
    """A way to make topologies from a few numbers.

    ``parameters`` maps every parameter of ``build`` to its meaning, ``example`` is an expression of a connected
    32 x 32 member, ``lines`` its connected members, not yet built. ``listed`` makes the list of members where that is
    not simply all of the lines. ``shallow_lines`` have members with fewer layers too, of families whose connected
    members are so large that at small budgets only unconnected ones can be compared, as the paper does in figure 3.
    """

    name: str
    build: Build
    summary: str
    parameters: Mapping[str, str]
    example: str
    lines: Lines
    shallow_lines: Lines | None = None
    listed: Callable[[int, int, int], list[Member]] | None = None

    def members(self, n_in: int, n_out: int, budget: int) -> list[Member]:
        """The connected members of at most ``budget`` trainable edges; where they are too many, the largest."""
        if self.listed is not None:
            return self.listed(n_in, n_out, budget)
        return listed(self.build, self.lines(n_in, n_out, budget), budget)

    def too_shallow(self, n_in: int, n_out: int, budget: int) -> list[Member]:
        """Members of at most ``budget`` trainable edges that leave pairs unconnected; none of most families."""
        return listed(self.build, self.shallow_lines(n_in, n_out, budget), budget) if self.shallow_lines else []

    def fit(self, n_in: int, n_out: int, budget: int) -> Member:
        """One good connected member of at most ``budget`` trainable edges, found without listing or training any.

        Only random topologies that may be unconnected are built to find out. Which member it is depends on the
        arguments alone. Errors of what it chooses are in ``tests/benchmarks/results.md``.

        Raises
        ------
        ValueError
            When the family has no such member; the message names the least budget that it needs.
        """
        ends = both_sides(n_in, n_out)
        budget = whole("budget", budget, 1, MAX_BUDGET)
        found = _best(self.build, self.lines(*ends, budget), budget)
        if found is None:
            raise ValueError(
                f"{self.name} has no connected {n_in} x {n_out} member of at most {budget} trainable "
                f"edges{_needs(self.build, self.lines, *ends, budget)}"
            )
        return found


def call_text(build: Build, arguments: Mapping[str, object]) -> str:
    """The canonical expression: required arguments by position, others by name and only where not the default."""
    parts = []
    for name, parameter in inspect.signature(build).parameters.items():
        if parameter.default is inspect.Parameter.empty:
            parts.append(repr(arguments[name]))
        elif name in arguments and arguments[name] != parameter.default:
            parts.append(f"{name}={arguments[name]!r}")
    return f"{build.__name__}({', '.join(parts)})"


def member(build: Build, arguments: Arguments, n_trainable: int) -> Member:
    """The member that ``build(**arguments)`` gives."""
    return Member(call_text(build, arguments), n_trainable, arguments, build)


def listed(build: Build, lines: Iterable[Line], budget: int) -> list[Member]:
    """The steps of all lines that fit, in order; where there are more than :data:`MOST`, each line's largest."""
    lines = list(lines)
    many = sum(len(line.steps) for line in lines) > MOST
    few = max(1, MOST // max(1, len(lines)))
    return [
        member(build, line.arguments(step), line.count(step))
        for line in lines
        for step in (line.largest(budget, few) if many else line.fitting(budget))
    ]


def _best(build: Build, lines: Iterable[Line], budget: int) -> Member | None:
    """Of each line's largest step that fits, the one with most left of the budget after its handicap."""
    ranked: list[tuple[float, Line, int]] = []
    for line in sorted((line for line in lines if line.floor <= budget), key=lambda line: -line.promise):
        if ranked and line.promise < max(merit for merit, _, _ in ranked):
            break
        for step in line.largest(budget):
            ranked.append((line.count(step) / budget - line.handicap(step), line, step))
    tries = 0
    for _, line, step in sorted(ranked, key=lambda entry: -entry[0]):
        tries += not line.certain(step)
        if tries <= _TRIES and (found := settled(build, line, step, budget)) is not None:
            return found
    return None


def settled(build: Build, line: Line, step: int, budget: int) -> Member | None:
    """The member at a step that fits; None where it has to be built to know, and is not connected."""
    if line.certain(step):
        return member(build, line.arguments(step), line.count(step))
    return proven(build, line.arguments(step), budget)


def proven(build: Build, arguments: Arguments, budget: int) -> Member | None:
    """The member of these arguments where, once built, it fits and is connected."""
    topology = build(**arguments)
    fits = topology.n_trainable <= budget and topology.is_connected
    return member(build, arguments, topology.n_trainable) if fits else None


def _needs(build: Build, lines: Lines, n_in: int, n_out: int, budget: int) -> str:
    """Words for the least budget above ``budget`` that has a member, none where no budget has."""
    budget = max(budget, n_in * n_out)  # most families have a member there
    while budget < MAX_BUDGET:
        least = MAX_BUDGET
        for line in sorted(lines(n_in, n_out, budget), key=lambda line: line.floor):
            if line.floor >= least:
                break
            first = bisect_left(line.steps, True, key=line.certain)
            least = min([least, *(line.count(step) for step in line.steps[first : first + 1])])
        if least <= budget:  # random lines of a smaller budget may be less certain
            return f": it needs {least if _best(build, lines(n_in, n_out, least), least) else budget}"
        budget *= 4
    return ""


def handicap(depth: int, log_paths: float, size: int, deep: float, few_paths: float) -> float:
    """The share of a budget that is wasted by depth, and by having few paths between an input and an output.

    ``deep`` is the waste of as many layers as a butterfly has digits, ``few_paths`` that of a single path.
    """
    return deep * depth / log2(size) + few_paths * float(2 ** -max(log_paths, 0.0))


def square(n_in: int, n_out: int) -> Arguments:
    """The arguments that say the size of a family built square: ``n``, and ``n_out`` where it differs."""
    return {"n": n_in} if n_in == n_out else {"n": n_in, "n_out": n_out}


def depths(least: int, smallest_layer: int, budget: int, cropped: bool) -> range:
    """Depths from ``least`` at which a cascade of layers of ``smallest_layer`` trainable edges can fit ``budget``.

    Cropping can thin out the first and the last ``least`` layers, and no others: by then everything is reached.
    """
    return range(least, budget // smallest_layer + 1 + (2 * least if cropped else 0))
