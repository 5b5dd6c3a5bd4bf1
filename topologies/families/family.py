"""What the registry holds: a family of topologies, and a member of one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from topologies.topology import Topology

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

    ``expression`` is its canonical text, ``n_trainable`` its trainable edges, ``arguments`` what its family is
    called with.
    """

    expression: str
    n_trainable: int
    arguments: Arguments = field(compare=False, repr=False)
    build: Build = field(compare=False, repr=False)

    def topology(self) -> Topology:
        """Build it."""
        return self.build(**self.arguments)


@dataclass(frozen=True)
class Family:
    """A way to make topologies from a few numbers.

    ``parameters`` maps every parameter of ``build`` to its meaning, ``example`` is an expression of a connected
    32 x 32 member, ``members(n_in, n_out, budget)`` lists the connected members of at most ``budget`` trainable
    edges. ``too_shallow`` lists members with fewer layers too, of families whose connected members are so large that
    at small budgets only unconnected ones can be compared, as the paper does in figure 3.
    """

    name: str
    build: Build
    summary: str
    parameters: Mapping[str, str]
    example: str
    members: Callable[[int, int, int], list[Member]]
    too_shallow: Callable[[int, int, int], list[Member]] | None = None


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


def fitting(build: Build, candidates: Iterable[tuple[Arguments, int | None]], budget: int) -> list[Member]:
    """The candidates of at most ``budget`` trainable edges; a count that is None is found by building."""
    counted = (
        (arguments, build(**arguments).n_trainable if count is None else count) for arguments, count in candidates
    )
    return [member(build, arguments, count) for arguments, count in counted if count <= budget]


def square(n_in: int, n_out: int) -> Arguments:
    """The arguments that say the size of a family built square: ``n``, and ``n_out`` where it differs."""
    return {"n": n_in} if n_in == n_out else {"n": n_in, "n_out": n_out}


def depths(least: int, smallest_layer: int, budget: int, cropped: bool) -> range:
    """Depths from ``least`` at which a cascade of layers of ``smallest_layer`` trainable edges can fit ``budget``.

    Cropping can thin out the first and the last ``least`` layers, and no others: by then everything is reached.
    """
    return range(least, budget // smallest_layer + 1 + (2 * least if cropped else 0))
