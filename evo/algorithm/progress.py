"""How far a loop has come: the generations processed, the state, and the generations that are still evaluated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from evaluators.task import Race
from evo.algorithm.individual import Candidate, Individual
from evo.algorithm.nsga2 import Rules, State, tell


@dataclass(frozen=True)
class Pending:
    """A generation that was bred and not processed yet, with the race that its members run."""

    candidates: tuple[Candidate, ...]
    race: Race


@dataclass(frozen=True)
class Progress:
    """How far a loop has come.

    ``generations`` and ``candidates`` count what was processed, and ``history_digest`` is one hash over all of it, in
    the order of breeding. ``pending`` are the generations under way, the oldest first.
    """

    generations: int = 0
    candidates: int = 0
    history_digest: str = ""
    state: State = field(default_factory=State)
    pending: tuple[Pending, ...] = ()

    @property
    def bred(self) -> int:
        """Number of generations bred."""
        return self.generations + len(self.pending)


def process(progress: Progress, rules: Rules, generation: Sequence[Individual]) -> Progress:
    """The progress after the oldest pending generation was evaluated and its scores told, in the order of breeding."""
    news = [[one.candidate.number, one.topology.digest, one.score and one.score.errors] for one in generation]
    return Progress(
        progress.generations + 1,
        progress.candidates + len(generation),
        hashlib.sha256((progress.history_digest + json.dumps(news)).encode()).hexdigest(),
        tell(progress.state, rules, generation),
        progress.pending[1:],
    )
