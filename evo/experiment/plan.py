"""What a search will do and cost, before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

from evaluators.task import Fidelity, Stream
from evo.experiment.baselines import candidates, growth_rule
from evo.experiment.initial_population import FAMILIES as FOUNDER_FAMILIES
from evo.experiment.initial_population import PER_FAMILY
from evo.experiment.validation import heats
from evo.settings import Settings
from evo.storage.pools import named_evaluator
from evo.storage.results import KINDS
from topologies.canonical import canonical
from topologies.families.blocks import dense


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
    sizes = {family: len(candidates(family, settings.n_in, settings.n_out, settings.budget)) for family in KINDS}
    trials = {family: min(size, settings.tuning.trials) for family, size in sizes.items()}
    founders = len(settings.founders) + sum(min(trials[family], PER_FAMILY) for family in FOUNDER_FAMILIES)
    births = founders + settings.loop.broods * settings.loop.brood_size
    ranked = [min(count, fidelity.finalists) for count in (*trials.values(), births, births)] + [1]
    again = sum(heats(count) for count in ranked if heats(count) > 1)
    return (
        Phase("tune the hand-derived families", sum(trials.values()), fidelity.search),
        Phase("evolution", births, fidelity.search),
        Phase("random search", births, fidelity.search),
        Phase("rank finalists", sum(ranked), fidelity.choice),
        Phase(
            "rank the best of them", again, fidelity.choice.closer(4 * fidelity.full_targets, fidelity.full_rates[0])
        ),
        Phase("held-out table", len(KINDS) + 3, fidelity.held_out(1.0)),
    )


def seconds_per_step(settings: Settings) -> float:
    """Seconds that one training step takes on this machine, measured on a parallel butterfly of the recipe's size."""
    evaluator = named_evaluator(settings.evaluator)
    rule = growth_rule(settings.n_in, settings.n_out, settings.budget)
    topology = rule.topology if rule else canonical(dense(settings.n_in, settings.n_out))
    for fidelity in (Fidelity(8, 1, (0.1,)), Fidelity(8, 400, (0.1,))):  # the first compiles, and is not measured
        start = time.perf_counter()
        evaluator.evaluate(topology, fidelity, Stream.SEARCH, settings.seed)
    return (time.perf_counter() - start) / cost(fidelity)
