"""Candidates and individuals: a topology with how it came to be, and what it turned out to be worth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator

from evaluators.task import Score
from evo.algorithm.inheritance import Inherited
from topologies.packing import from_text, to_text
from topologies.stack import AnyTopology


def _topology(value: AnyTopology | str) -> AnyTopology:
    return from_text(value) if isinstance(value, str) else value


StoredTopology = Annotated[AnyTopology, PlainValidator(_topology), PlainSerializer(to_text, return_type=str)]
"""A topology that pydantic writes as text and reads back."""

INITIAL, SAMPLED = "initial", "sample"
"""The operators of candidates without a parent: those of the initial population, and those sampled at random."""


@dataclass(frozen=True)
class InitialMember:
    """A topology of the initial population, in canonical form, and the family it is counted under."""

    family: str
    topology: StoredTopology


@dataclass(frozen=True)
class Candidate:
    """A topology with its number and its origin.

    Parameters
    ----------
    number:
        Candidates of a search are numbered from 0 in the order in which they are bred.
    generation:
        The generation it belongs to; the initial population is generation 0.
    topology:
        In canonical form; a stack, where the model has several places.
    parents:
        Numbers of the candidates it was bred from; none for the initial population and for samples.
    operator:
        The variation operator that made it, or :data:`INITIAL` or :data:`SAMPLED`.
    family:
        The family of the initial population that it descends from, by its first parent.
    parent_digests:
        The digests of the parents' topologies.
    inherited:
        The learning rate and weight decay that it is trained at; without, at all that the recipe names.
    """

    number: int
    generation: int
    topology: StoredTopology
    parents: tuple[int, ...]
    operator: str
    family: str
    parent_digests: tuple[str, ...] = ()
    inherited: Inherited | None = None


@dataclass(frozen=True)
class Individual:
    """A candidate that has been evaluated; a failed evaluation has no score and an infinite error.

    ``measures`` are the proxies that the recipe wants small beside the error. ``harder`` is by how much the targets of
    the promoted are harder than those that this one was scored on (:mod:`evo.algorithm.level`).
    """

    candidate: Candidate
    score: Score | None
    measures: tuple[float, ...] = ()
    harder: float = 0.0

    @property
    def topology(self) -> AnyTopology:
        """The candidate's topology."""
        return self.candidate.topology

    @cached_property
    def error(self) -> float:
        """Mean error on the search targets, as it would be on those of the promoted."""
        return float("inf") if self.score is None else self.score.error + self.harder

    @property
    def errors(self) -> tuple[float, ...]:
        """One error a target; none where the evaluation failed, or gave what is no number."""
        return self.score.errors if self.score is not None and isfinite(self.score.error) else ()
