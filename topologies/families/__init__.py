"""The families of topologies that the paper compares (V, VII), and their members within a budget.

To add a family, write a function that returns a Topology and a Family that describes it, and list its module here:
expressions, the command line and the contract tests take it up from the registry.
"""

from __future__ import annotations

from topologies.families import blocks, butterfly, clos, hypercube, random
from topologies.families.arguments import nearest, side, whole
from topologies.families.family import Family, Member

FAMILIES: dict[str, Family] = {
    family.name: family for module in (butterfly, clos, hypercube, random, blocks) for family in module.FAMILIES
}
"""Every family by name."""


def find(name: str) -> Family:
    """The family of that name, or a ValueError that names the nearest."""
    if name not in FAMILIES:
        raise ValueError(f"there is no family {name!r}, the nearest is {nearest(name, FAMILIES)!r}")
    return FAMILIES[name]


def members(name: str, n_in: int, n_out: int, budget: int) -> list[Member]:
    """The connected members with ``skip`` of a family, of at most ``budget`` trainable edges.

    Which they are is finite and exact for the structured families; for Clos and the random controls, the members
    function of the family says which of its many similar members it lists.

    Raises
    ------
    ValueError
        For an unknown family, a side below 2 or a budget below 1.
    """
    return find(name).members(side("n_in", n_in), side("n_out", n_out), whole("budget", budget, 1, 1 << 40))


__all__ = ["FAMILIES", "Family", "Member", "find", "members"]
