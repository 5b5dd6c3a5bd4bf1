"""How far a loop has come: the generations processed, the state, and the generations under way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from evaluators.task import Race
from evo.algorithm.individual import Individual, Litter
from evo.algorithm.nsga2 import Rules, State, tell


@dataclass(frozen=True)
class Sent:
    """A brood that was bred and not told yet, with the race that its members run."""

    litters: tuple[Litter, ...]
    race: Race


@dataclass(frozen=True)
class Progress:
    """How far a loop has come: broods and births told, one hash over them, the state, and the broods under way."""

    told: int = 0
    births: int = 0
    chronicle: str = ""
    state: State = field(default_factory=State)
    under_way: tuple[Sent, ...] = ()

    @property
    def sent(self) -> int:
        """Broods bred."""
        return self.told + len(self.under_way)


def told(here: Progress, rules: Rules, brood: Sequence[Individual]) -> Progress:
    """The progress after the oldest brood under way was evaluated and its scores told, in the order of birth."""
    news = [[one.birth.number, one.topology.digest, one.score and one.score.errors] for one in brood]
    chronicle = hashlib.sha256((here.chronicle + json.dumps(news)).encode()).hexdigest()
    state = tell(here.state, rules, brood)
    return Progress(here.told + 1, here.births + len(brood), chronicle, state, here.under_way[1:])
