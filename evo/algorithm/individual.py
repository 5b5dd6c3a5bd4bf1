"""One candidate: how it came to be, and what it turned out to be worth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from evaluators.task import Score
from topologies.topology import Topology


@dataclass(frozen=True)
class Birth:
    """A topology with its number and its origin.

    Parameters
    ----------
    number:
        Births of a search are numbered from 0 in the order of their breeding.
    brood:
        The brood it belongs to; the founders are brood 0.
    topology:
        In canonical form.
    parents:
        Numbers of the births it was bred from; none for founders and samples.
    operator:
        The variation operator that made it, or "founder" or "sample".
    family:
        The founder family it descends from, by its first parent.
    parent_digests:
        The parents' topologies.
    """

    number: int
    brood: int
    topology: Topology
    parents: tuple[int, ...]
    operator: str
    family: str
    parent_digests: tuple[str, ...] = ()


Litter = tuple[Birth, ...]
"""Births with one number, of which a screen lets one live; most often there is only one."""


@dataclass(frozen=True)
class Individual:
    """A birth that has been evaluated; a failed evaluation has no score and an infinite error.

    ``measures`` are the data-free scores that the recipe wants small beside the error.
    """

    birth: Birth
    score: Score | None
    measures: tuple[float, ...] = ()

    @property
    def topology(self) -> Topology:
        """The candidate itself."""
        return self.birth.topology

    @cached_property
    def error(self) -> float:
        """Mean relative error on the search stream."""
        return float("inf") if self.score is None else self.score.error


@dataclass(frozen=True)
class Founder:
    """A topology to start from, in canonical form, and the family it is counted under."""

    family: str
    topology: Topology
