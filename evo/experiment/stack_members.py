"""Members of a family for a model with several places: one member a place, together within one budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, zip_longest
from math import prod

import numpy as np

from evo.storage.names import BETWEEN_PLACES
from evo.variation.edges import apportion
from topologies.families.family import Arguments, Member
from topologies.stack import Layout, Sizes, Stack, size_text

MOST = 128
"""Combinations of members at most for one division of the budget at one choice of widths."""
FACTORS = (1.0, 2.0, 4.0, 0.5)
"""Multiples of the recipe's hidden widths at which members are tried, where widths are free."""

MembersAt = Callable[[int, int, int], Sequence[Member]]
"""A family's members by inputs, outputs and budget."""
_SIZES = {"n", "n_in", "n_out"}


@dataclass(frozen=True)
class StackMember:
    """A member of a family for every place of a model, not yet built.

    ``expression`` is what it is called and ``arguments`` say where it stands among the others.
    """

    members: tuple[Member, ...]
    expression: str
    arguments: Arguments = field(compare=False, repr=False)

    @cached_property
    def n_trainable(self) -> int:
        """Trainable edges of all places together."""
        return sum(member.n_trainable for member in self.members)

    def topology(self) -> Stack:
        """Build it; places whose members are equal share one topology."""
        built = {member.expression: member.topology() for member in dict.fromkeys(self.members)}
        return Stack(tuple(built[member.expression] for member in self.members))


AnyMember = Member | StackMember
"""What is tuned: a member of a family, or one for every place of a model."""


def stack_members(layout: Layout, budget: int, members_at: MembersAt) -> list[StackMember]:
    """A family's members for all places of a layout, at the recipe's widths and, where widths are free, at others.

    Where all places have one size they get the same member, at an equal part of the budget. Where sizes differ, the
    budget is divided in proportion to the dense weights of the places, or to their inputs and outputs together (as
    Erdos and Renyi's random graphs would have it); places get members of equal arguments, or those that use their part
    of the budget equally well, the k-th best each. There are none where a place has none.
    """
    found: dict[str, StackMember] = {}
    for sizes in widths_tried(layout):
        for division, budgets in _divisions(sizes, budget):
            at_places = [members_at(*size, part) for size, part in zip(sizes, budgets, strict=True)]
            for members in islice(_combined(at_places, len(set(sizes)) == 1), MOST):
                one = _member(members, {"division": division, "widths": size_text(sizes)})
                found.setdefault(one.expression, one)
    return list(found.values())


def fitted_members(layout: Layout, budget: int, member_of: Callable[[int, int, int], Member]) -> StackMember:
    """One member for every place at the recipe's own widths, each at its share of the budget by dense weights."""
    (division, budgets), *_ = _divisions(layout.sizes, budget)
    members = tuple(member_of(*size, part) for size, part in zip(layout.sizes, budgets, strict=True))
    return _member(members, {"division": division, "widths": size_text(layout.sizes)})


def divided(layout: Layout, budget: int) -> list[tuple[Sizes, list[int]]]:
    """Sizes of all places and the budget of each, at all widths and divisions that are tried."""
    return [(sizes, budgets) for sizes in widths_tried(layout) for _, budgets in _divisions(sizes, budget)]


def widths_tried(layout: Layout) -> list[Sizes]:
    """The recipe's sizes and, where widths are free, those at multiples of its widths."""
    if not layout.widths:
        return [layout.sizes]
    scaled = [layout.of_widths([round(factor * n_out) for _, n_out in layout.sizes]) for factor in FACTORS]
    return list(dict.fromkeys(scaled))


def by_dense_size(sizes: Sizes, budget: int) -> list[int]:
    """The budget of every place in proportion to its dense weights."""
    dense = np.array([prod(size) for size in sizes])
    return [int(part) for part in apportion(budget, dense, dense)]


def _divisions(sizes: Sizes, budget: int) -> list[tuple[str, list[int]]]:
    """Divisions of the budget by name: of places of one size one, without a name."""
    if len(set(sizes)) == 1:
        return [("", [budget // len(sizes)] * len(sizes))]
    ends, dense = np.array([sum(size) for size in sizes]), np.array([prod(size) for size in sizes])
    by_ends = [int(part) for part in apportion(budget, ends, dense)]
    return [("by dense weights", by_dense_size(sizes, budget)), ("by inputs and outputs", by_ends)]


def _combined(at_places: Sequence[Sequence[Member]], alike: bool) -> Iterator[tuple[Member, ...]]:
    """Members for all places: the same one; or the k-th fullest of each place, then those of equal arguments."""
    if alike:
        yield from ((member,) * len(at_places) for member in at_places[0])
        return
    fullest = [sorted(members, key=lambda one: -one.n_trainable) for members in at_places]
    by_arguments = [{_shape(member): member for member in members} for members in at_places]
    # Which of the two is better is not known, so they take turns.
    both = zip_longest(zip(*fullest, strict=False), _equal(fullest[0], by_arguments))
    seen = set()
    for pair in both:
        for members in pair:
            if members is not None and members not in seen:
                seen.add(members)
                yield members


def _equal(
    members: Sequence[Member], by_arguments: Sequence[dict[tuple[tuple[str, object], ...], Member]]
) -> Iterator[tuple[Member, ...] | None]:
    """For each member the members of equal arguments at all places, None where a place has none."""
    for member in members:
        found = [one.get(_shape(member)) for one in by_arguments]
        everywhere = tuple(one for one in found if one is not None)
        yield everywhere if len(everywhere) == len(found) else None


def _shape(member: Member) -> tuple[tuple[str, object], ...]:
    """A member's arguments, without those that only say its size."""
    return tuple(sorted((name, value) for name, value in member.arguments.items() if name not in _SIZES))


def _member(members: tuple[Member, ...], about: Arguments) -> StackMember:
    shared = len(set(members)) == 1
    expression = members[0].expression if shared else BETWEEN_PLACES.join(one.expression for one in members)
    own = [(number, one) for number, one in enumerate(members[: 1 if shared else None], 1)]
    arguments = {
        name if shared else f"{name} at place {number}": value
        for number, member in own
        for name, value in member.arguments.items()
        if shared or name not in _SIZES
    }
    return StackMember(members, expression, arguments | about)
