"""How a family grows from one of its members: what its law makes of more edges, and what it is like at the least.

Of one topology nobody can say whether its depth or its bandwidth depend on the number of parameters (paper, section
VII-C to E): that is a matter of the line of its family on which it lies (:class:`topologies.families.family.Line`).
"""

from __future__ import annotations

import inspect
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from topologies.expression import read
from topologies.families import find
from topologies.families.family import Family, Line
from topologies.topology import Topology

_NOT_OF_SHAPE = ("n", "n_in", "n_out", "skip", "diagonal", "seed")
"""Parameters that lines do not say, or say in several ways."""


@dataclass(frozen=True)
class Growth:
    """Two relatives of a topology that differ from it in one number of its family.

    ``least``: the smallest that is connected. ``doubled``: the largest with at most twice the trainable edges.
    """

    least: Topology
    doubled: Topology


def growth(text: str) -> Growth | None:
    """The relatives of the topology that an expression names; None where its family has no larger ones.

    Where there are several lines, such as more copies or deeper ones of a parallel butterfly, it is the one on which
    depth changes least.

    Raises
    ------
    ValueError
        As :func:`topologies.expression.parse`.
    """
    name, given = read(text)
    family = find(name)
    own = family.build(**given)
    found = [
        grown
        for line in family.lines(own.n_in, own.n_out, 2 * own.n_trainable)
        if (grown := _along(family, line, given, own)) is not None
    ]
    return min(found, key=lambda one: abs(one.doubled.depth - own.depth), default=None)


def _along(family: Family, line: Line, given: Mapping[str, Any], own: Topology) -> Growth | None:
    """The relatives on one line; None where the topology is not on it, or is its end."""
    if len(line.steps) < 2:
        return None
    first, last = line.arguments(line.steps[0]), line.arguments(line.steps[-1])
    changing = [name for name in first if first[name] != last[name]]
    of_line, of_own = _shape(family, first), _shape(family, given)
    if len(changing) != 1 or any(of_line[name] != of_own[name] for name in of_own if name not in changing):
        return None
    (name,) = changing
    place = bisect_left(line.steps, of_own[name], key=lambda step: line.arguments(step)[name])
    if place == len(line.steps) or line.arguments(line.steps[place])[name] != of_own[name]:
        return None
    (most,) = line.largest(2 * line.count(line.steps[place])) or (line.steps[place],)
    doubled = family.build(**{**given, name: line.arguments(most)[name]})
    if doubled.n_trainable <= own.n_trainable:
        return None
    return Growth(family.build(**{**given, name: first[name]}), doubled)


def _shape(family: Family, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a call, defaults too, but for those that lines do not say."""
    parameters = inspect.signature(family.build).parameters
    return {
        name: arguments.get(name, parameter.default)
        for name, parameter in parameters.items()
        if name not in _NOT_OF_SHAPE
    }
