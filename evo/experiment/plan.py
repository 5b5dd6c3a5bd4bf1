"""What a search will do and cost, before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

from evaluators.task import Fidelity, Score, SlowEvaluator, Split
from evo.experiment.baselines import candidates
from evo.experiment.initial_population import FAMILIES, PER_FAMILY
from evo.experiment.space_baselines import sizes_in_space
from evo.experiment.validation import n_promoted
from evo.settings import Settings
from evo.storage.names import BASELINES, OF_SPACE
from evo.storage.pools import evaluator_of
from topologies.canonical import canonical
from topologies.families import fits


@dataclass(frozen=True)
class Phase:
    """A number of evaluations at one fidelity."""

    name: str
    evaluations: int
    fidelity: Fidelity

    @property
    def cost(self) -> float:
        """Work in training steps."""
        return float(self.evaluations * self.fidelity.cost)


_LARGE = 1 << 17
"""Entries of a matrix above which a smaller one is measured."""
_WORK = 1e9
"""Edges times inputs times steps of a measurement, at most: a second or two."""

PROMOTED = 10
"""Of so many candidates one is promoted, as a rule, once the elite is full."""


def plan(settings: Settings) -> tuple[Phase, ...]:
    """The phases of a search; counts are upper estimates where they depend on results, those of promotions a rule."""
    fidelity = settings.fidelity
    sizes = {family: len(candidates(family, settings.n_in, settings.n_out, settings.budget)) for family in BASELINES}
    trials = {family: min(size, settings.tuning.trials) for family, size in sizes.items()}
    trials |= sizes_in_space(settings, trials)
    initial = len(settings.initial_population) + sum(
        min(trials.get(family, 0), PER_FAMILY) for family in (*FAMILIES, *OF_SPACE)
    )
    bred = initial + settings.loop.generations * settings.loop.offspring
    early = min(bred, initial + (settings.loop.max_pending_generations - 1) * settings.loop.offspring)
    promoted = 2 * (early + -(-(bred - early) // PROMOTED))  # before the elite is full, everything is
    ranked = [min(count, fidelity.finalists) for count in (*trials.values(), bred, bred)]
    ranked += [1] * (1 + (settings.baseline is not None))
    again = sum(n_promoted(count) for count in ranked if n_promoted(count) > 1)
    search, validation = fidelity.search, fidelity.validation
    tested = len(trials) + 3 + (settings.baseline is not None)
    return (
        Phase("tune the hand-derived families", sum(trials.values()), search),
        Phase("evolution", bred, search),
        Phase("random search", bred, search),
        Phase("promotions", promoted, _once_chosen(search, fidelity.race_targets)),
        Phase("validation", sum(ranked), validation),
        Phase("validation of the best", again, _once_chosen(validation, 4 * validation.targets)),
        Phase("test", tested, _once_chosen(validation, fidelity.test_targets)),
    )


def _once_chosen(fidelity: Fidelity, targets: int) -> Fidelity:
    """So many targets at one learning rate and weight decay, as they are after one evaluation has chosen them."""
    return fidelity.promoted(targets, Score((0.0,), fidelity.rates[0], fidelity.weight_decays[0]))


def seconds_per_step(settings: Settings) -> float:
    """Seconds that one training step of a topology of the recipe's size and budget takes on this machine.

    Measured on the member of a hand-derived family with the most edges. A step's work is in proportion to edges times
    inputs, so where that is large a smaller problem of the same proportions is measured, and few steps. An evaluator
    whose steps are long is measured at its own size, and few steps as well.
    """
    evaluator = evaluator_of(settings)
    slow = isinstance(evaluator, SlowEvaluator)
    part = 1 if slow else max(1, round((settings.n_in * settings.n_out / _LARGE) ** 0.5))
    n_in, n_out, budget = (max(2, size // part) for size in (settings.n_in, settings.n_out, settings.budget))
    found = fits(n_in, n_out, max(budget, n_in + n_out)).values()
    topology = canonical(max((member.topology() for member in found), key=lambda one: one.n_edges))
    steps = 1 if slow else int(min(400, max(4, _WORK / (topology.n_edges * n_in))))
    targets = 1 if slow else 8
    # The first evaluation compiles, and is not measured.
    for fidelity in (Fidelity(targets, 1, (0.1,)), Fidelity(targets, steps, (0.1,))):
        start = time.perf_counter()
        evaluator.evaluate(topology, fidelity, Split.SEARCH, settings.seed)
    measured = (time.perf_counter() - start) / fidelity.cost
    return float(measured * (settings.budget / topology.n_trainable) * (settings.n_in / n_in))
