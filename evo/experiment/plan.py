"""What a search will do and cost, before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

from evaluators.task import Fidelity, Split
from evo.experiment.baselines import candidates, growth_rule
from evo.experiment.initial_population import FAMILIES, PER_FAMILY
from evo.experiment.validation import n_promoted
from evo.settings import Settings
from evo.storage.names import BASELINES
from evo.storage.pools import named_evaluator
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


PROMOTED = 10
"""Of so many candidates one is promoted, as a rule, once the elite is full."""


def plan(settings: Settings) -> tuple[Phase, ...]:
    """The phases of a search; counts are upper estimates where they depend on results, those of promotions a rule."""
    fidelity = settings.fidelity
    sizes = {family: len(candidates(family, settings.n_in, settings.n_out, settings.budget)) for family in BASELINES}
    trials = {family: min(size, settings.tuning.trials) for family, size in sizes.items()}
    initial = len(settings.initial_population) + sum(min(trials[family], PER_FAMILY) for family in FAMILIES)
    bred = initial + settings.loop.generations * settings.loop.offspring
    early = min(bred, initial + (settings.loop.max_pending_generations - 1) * settings.loop.offspring)
    promoted = 2 * (early + -(-(bred - early) // PROMOTED))  # before the elite is full, everything is
    ranked = [min(count, fidelity.finalists) for count in (*trials.values(), bred, bred)]
    ranked += [1] * (1 + (settings.baseline is not None))
    again = sum(n_promoted(count) for count in ranked if n_promoted(count) > 1)
    validated_again = fidelity.validation.promoted(4 * fidelity.validation_targets, fidelity.validation_rates[0])
    return (
        Phase("tune the hand-derived families", sum(trials.values()), fidelity.search),
        Phase("evolution", bred, fidelity.search),
        Phase("random search", bred, fidelity.search),
        Phase("promotions", promoted, fidelity.search.promoted(fidelity.race_targets, fidelity.rates[0])),
        Phase("validation", sum(ranked), fidelity.validation),
        Phase("validation of the best", again, validated_again),
        Phase("test", len(BASELINES) + 3 + (settings.baseline is not None), fidelity.test(1.0)),
    )


def seconds_per_step(settings: Settings) -> float:
    """Seconds that one training step takes on this machine, measured on a parallel butterfly of the recipe's size."""
    evaluator = named_evaluator(settings.evaluator)
    rule = growth_rule(settings.n_in, settings.n_out, settings.budget)
    topology = rule.topology if rule else canonical(dense(settings.n_in, settings.n_out))
    for fidelity in (Fidelity(8, 1, (0.1,)), Fidelity(8, 400, (0.1,))):  # the first compiles, and is not measured
        start = time.perf_counter()
        evaluator.evaluate(topology, fidelity, Split.SEARCH, settings.seed)
    return (time.perf_counter() - start) / cost(fidelity)
