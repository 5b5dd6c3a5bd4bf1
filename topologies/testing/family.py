"""What every family of topologies promises."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import numpy as np

from topologies.expression import render
from topologies.families import Family
from topologies.families.family import SHARED, Member
from topologies.topology import Topology

SIZES = ((2, 2), (8, 8), (12, 12), (7, 7), (6, 10), (10, 6), (2, 9), (1, 9))
"""Square, prime and rectangular sizes, which cover what cropping and mixed radices do."""

_MOST = 15
"""Members of a size that are built, at most."""


def check_family(family: Family, sizes: Sequence[tuple[int, int]] = SIZES) -> None:
    """Check a family, registered or not, at some sizes of inputs and outputs; a family may have no member at some.

    Raises
    ------
    AssertionError
        Where it does not keep a promise.
    """
    check_description(family)
    for n_in, n_out in sizes:
        budget = 3 * n_in * n_out
        found = family.members(n_in, n_out, budget)
        assert len({member.expression for member in found}) == len(found), f"{n_in} x {n_out}: a member twice"
        for member in found[:: max(1, len(found) // _MOST)]:
            check_member(family, member, (n_in, n_out), budget)


def check_description(family: Family) -> None:
    """Check that every parameter is explained, in order, and that there is a summary."""
    assert family.build.__name__ == family.name, "the name is that of the function that builds"
    assert list(family.parameters) == list(inspect.signature(family.build).parameters), "every parameter, in order"
    assert all(family.parameters.values()) and family.summary, "nothing is left unexplained"


def check_member(family: Family, member: Member, size: tuple[int, int], budget: int) -> None:
    """Check that a member is connected, of its size, within the budget, and built the same twice."""
    name, topology = member.expression, member.topology()
    assert topology == family.build(**member.arguments), f"{name}: built twice, it is not the same"
    assert name == render(family.name, member.arguments), f"{name}: the expression has other arguments"
    assert (topology.n_in, topology.n_out) == size, f"{name}: is {topology.n_in} x {topology.n_out}"
    assert topology.is_connected, f"{name}: some input does not reach some output"
    assert topology.n_trainable == member.n_trainable <= budget, f"{name}: {topology.n_trainable} trainable edges"
    _check_constants(family, member)


def _check_constants(family: Family, member: Member) -> None:
    """With ``skip`` a neuron of a single edge has no constant one, and one of more has one, unless the family explains
    the parameter otherwise.
    """
    with_skip = family.build(**{**member.arguments, "skip": True})
    without = family.build(**{**member.arguments, "skip": False})
    assert _edges(with_skip) == _edges(without), f"{member.expression}: skip moves edges"
    assert without.n_constant == 0, f"{member.expression}: there are constants without skip"
    for mask in with_skip.masks():
        held, wide = (mask == 2).sum(axis=0), (mask > 0).sum(axis=0) >= 2
        each = (held[wide] >= 1).all() or family.parameters["skip"] != SHARED["skip"]
        assert each and (held[~wide] == 0).all(), f"{member.expression}: constants of skip"


def _edges(topology: Topology) -> list[bytes]:
    return [np.ascontiguousarray(mask > 0).tobytes() for mask in topology.masks()]
