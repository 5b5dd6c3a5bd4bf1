"""What a search will do and cost, before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from evaluators.task import Fidelity
from evo.founders import FAMILIES as FOUNDER_FAMILIES
from evo.founders import PER_FAMILY
from evo.rivals import KINDS
from evo.settings import Settings
from topologies.families import members


@dataclass(frozen=True)
class Phase:
    """A number of evaluations at one fidelity."""

    name: str
    evaluations: int
    fidelity: Fidelity

    @property
    def cost(self) -> float:
        """Work in training steps."""
        return self.evaluations * cost(self.fidelity)


def cost(fidelity: Fidelity) -> float:
    """Training steps of one evaluation: over all targets and rates."""
    return float(fidelity.targets * fidelity.steps * len(fidelity.rates))


def plan(settings: Settings) -> tuple[Phase, ...]:
    """The phases of a search; counts are upper estimates where they depend on results."""
    fidelity = settings.fidelity
    sizes = {family: len(members(family, settings.n_in, settings.n_out, settings.budget)) for family in KINDS}
    trials = {family: min(size, settings.tuning.trials) for family, size in sizes.items()}
    founders = len(settings.founders) + sum(min(trials[family], PER_FAMILY) for family in FOUNDER_FAMILIES)
    births = founders + settings.loop.broods * settings.loop.brood_size
    finalists = sum(min(count, fidelity.finalists) for count in trials.values()) + 2 * fidelity.finalists + 1
    return (
        Phase("tune the hand-derived families", sum(trials.values()), fidelity.search),
        Phase("evolution", births, fidelity.search),
        Phase("random search", births, fidelity.search),
        Phase("rank finalists", finalists, fidelity.choice),
        Phase("held-out table", len(KINDS) + 3, fidelity.held_out(1.0)),
    )
