"""The families of topologies that the paper compares (V, VII), and their members within a budget.

To add a family, write a function that returns a Topology and a Family that describes it, and list its module here:
expressions, the command line and the contract tests take it up from the registry.
"""

from __future__ import annotations

from topologies.families import blocks, butterfly, clos, evolved, hypercube, random_members
from topologies.families.arguments import both_sides, nearest, whole
from topologies.families.family import MAX_BUDGET, Family, Member

FAMILIES: dict[str, Family] = {
    family.name: family
    for module in (butterfly, clos, hypercube, random_members, blocks, evolved)
    for family in module.FAMILIES
}
"""Every family by name."""

HAND_DERIVED = tuple(name for name in FAMILIES if name != "evolved")
"""The families of the paper and its kin, and the random controls: all but what a search found."""


def find(name: str) -> Family:
    """The family of that name, or a ValueError that names the nearest."""
    if name not in FAMILIES:
        raise ValueError(f"there is no family {name!r}, the nearest is {nearest(name, FAMILIES)!r}")
    return FAMILIES[name]


def members(name: str, n_in: int, n_out: int, budget: int) -> list[Member]:
    """The connected members with ``skip`` of a family, of at most ``budget`` trainable edges.

    Which they are is finite and exact for the structured families; for Clos and the random controls, the lines of
    the family say which of its many similar members are listed. Where they are more than :data:`family.MOST`, at
    large sizes, only those near the budget are listed, so that a list takes seconds at most.

    Raises
    ------
    ValueError
        For an unknown family, a side or budget below 1, or a single weight.
    """
    return find(name).members(*both_sides(n_in, n_out), whole("budget", budget, 1, MAX_BUDGET))


def fits(n_in: int, n_out: int, budget: int) -> dict[str, Member]:
    """The member that each family would choose, see :meth:`Family.fit`, of the families that have one, by name.

    Some family has one at every size and every budget that a recipe may ask for: ``low_rank`` needs
    n_in + n_out - 1 trainable edges and ``dense`` n_in n_out.
    """
    found = {}
    for name, family in FAMILIES.items():
        try:
            found[name] = family.fit(n_in, n_out, budget)
        except ValueError:
            continue
    return found


__all__ = ["FAMILIES", "HAND_DERIVED", "Family", "Member", "find", "fits", "members"]
