"""What a search will do and cost, before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from cluster.ray_session import usable_cores
from evaluators.task import Fidelity, Split
from evo.algorithm.nsga2 import Policy
from evo.experiment.baselines import candidates_at
from evo.experiment.initial_population import FAMILIES, PER_FAMILY, WIRINGS
from evo.experiment.pace import dense_work
from evo.experiment.space_baselines import sizes_in_space
from evo.experiment.validation import RETRAININGS, n_promoted
from evo.settings import Settings
from evo.storage.names import BASELINES, DENSE, OF_SPACE, PARALLEL_BUTTERFLY
from topologies.stack import Layout


@dataclass(frozen=True)
class Phase:
    """Evaluations at one fidelity, in batches of which each is waited for before the next begins.

    ``at_once`` is how many of each batch can be under way together, by default all.
    """

    name: str
    batches: tuple[int, ...]
    fidelity: Fidelity
    split: Split = Split.SEARCH
    at_once: tuple[int, ...] | None = None
    work: float = 1.0
    """How many times as long as usual a training step takes."""

    @property
    def evaluations(self) -> int:
        """How many there are in all."""
        return sum(self.batches)

    @property
    def cost(self) -> float:
        """Work in training steps."""
        return float(self.evaluations * self.fidelity.cost * self.work)

    def length(self, workers: int) -> float:
        """Training steps one after another, where so many workers share the evaluations of a batch."""
        pairs = zip(self.batches, self.at_once or self.batches, strict=True)
        turns = sum(-(-batch // max(1, min(workers, most))) for batch, most in pairs)
        return float(turns * self.fidelity.cost * self.work)

    def seconds(self, per_step: Mapping[Split, float]) -> float:
        """Seconds of one core, where a step of each split takes so many."""
        return self.cost * per_step[self.split]


UNTUNED = 3
"""Rows of one finalist: the paper's growth rule, the evolved law, and the champion shuffled."""

PROMOTED = 10
"""Of so many candidates one is promoted, as a rule, once the elite is full."""


def plan(settings: Settings) -> tuple[Phase, ...]:
    """The phases of a search; counts are upper estimates where they depend on results, those of promotions a rule."""
    fidelity = settings.fidelity
    sizes = _family_sizes(settings)
    trials = {family: min(size, settings.tuning.trials) for family, size in sizes.items()}
    trials |= sizes_in_space(settings, trials)
    initial = len(settings.initial_population) + WIRINGS
    initial += sum(min(trials.get(family, 0), PER_FAMILY) for family in (*FAMILIES, *OF_SPACE))
    bred = initial + settings.loop.generations * settings.loop.offspring
    early = min(bred, initial + (settings.loop.max_pending_generations - 1) * settings.loop.offspring)
    later, promoted = bred - early, -(-(bred - early) // PROMOTED)  # before anything is known, everything is
    in_flight = (early, settings.loop.max_pending_generations * settings.loop.offspring)
    own = len(settings.initial_population)
    counts = (*trials.values(), bred, bred, *([own] if own else []))
    ranked = [min(count, fidelity.finalists) for count in counts]
    ranked += [1] * (UNTUNED + (settings.baseline is not None))
    search = fidelity.search
    tested = len(trials) + 2 + UNTUNED + (settings.baseline is not None) + bool(own)
    searched = _once_chosen(search, fidelity.race_targets)
    at_one = _once_chosen(search, search.targets)

    def looped(policy: Policy) -> list[Phase]:
        """Candidates of the first generations, and later ones, of which few can be under way."""
        if not fidelity.inherit_rates:
            return [Phase(policy.value, (early, later), search, at_once=in_flight)]
        heirs = Phase(f"{policy} at inherited rates", (later,), at_one, at_once=in_flight[1:])
        return [Phase(policy.value, (early,), search), *[heirs] * bool(later)]

    again_at_one = _once_chosen(search, RETRAININGS)
    afresh = Phase("the best trained afresh", (min(bred, fidelity.finalists),), again_at_one, Split.VALIDATION)
    return (
        Phase("tune the hand-derived families", tuple(trials.values()), search),
        *looped(Policy.EVOLUTION),
        *looped(Policy.RANDOM),
        Phase("promotions", (early, promoted) * 2, searched, at_once=in_flight * 2),
        *sorted(  # as they come: what is ranked, what is tested, and the search errors of the rows
            (*_ranked_and_tested(settings, ranked, tested), *dense_phases(settings)),
            key=lambda phase: (Split.VALIDATION, Split.TEST, Split.SEARCH).index(phase.split),
        ),
        *([afresh] if settings.retrains else []),
    )


def dense_phases(settings: Settings) -> tuple[Phase, ...]:
    """The phases in which dense layers are trained for a row of their own; none where they are not."""
    if not settings.trains_dense:
        return ()
    work = dense_work(settings)
    ranked = [phase for phase in _ranked_and_tested(settings, [1], 1) if phase.split is not Split.SEARCH]
    return tuple(replace(phase, name=f"{phase.name}: {DENSE}", work=work) for phase in ranked)


def plan_of_comparison(settings: Settings, topologies: int) -> tuple[Phase, ...]:
    """The phases of a comparison of so many topologies with the tuned baseline; upper estimates, as for a search."""
    sizes = _family_sizes(settings)
    if settings.baseline is not None:
        sizes = {}
    elif sizes[PARALLEL_BUTTERFLY]:
        sizes = {PARALLEL_BUTTERFLY: sizes[PARALLEL_BUTTERFLY]}
    tuned = _tuning(settings, sizes)
    ranked = [min(count, settings.fidelity.finalists) for count in tuned.batches]
    ranked += [1] * (topologies + (settings.baseline is not None))
    return (tuned, *_ranked_and_tested(settings, ranked, topologies + 1))


def plan_of_tuning(settings: Settings, family: str) -> tuple[Phase, ...]:
    """The phases of tuning one family."""
    tuned = _tuning(settings, {family: _family_sizes(settings)[family]})
    ranked = [min(count, settings.fidelity.finalists) for count in tuned.batches]
    return (tuned, *_ranked_and_tested(settings, ranked, 1))


def _tuning(settings: Settings, sizes: Mapping[str, int]) -> Phase:
    """The trials of families that have so many members."""
    trials = tuple(min(size, settings.tuning.trials) for size in sizes.values())
    return Phase("tune the hand-derived families", trials, settings.fidelity.search)


def _ranked_and_tested(settings: Settings, ranked: Sequence[int], tested: int) -> tuple[Phase, ...]:
    """The phases in which finalists are ranked, so many for each row, and the rows of the final table are scored."""
    fidelity = settings.fidelity
    validation = fidelity.validation
    again = tuple(n_promoted(count) for count in ranked if n_promoted(count) > 1)
    grows = settings.training is not None and max(len(validation.rates), len(validation.weight_decays)) > 1
    beyond = replace(validation, rates=validation.rates[:1])
    grown = Phase("validation beyond the grid", tuple(map(n_promoted, ranked)), beyond, Split.VALIDATION)
    searched = _once_chosen(fidelity.search, fidelity.race_targets)
    both = [Phase("search errors of the rows", (tested,), searched)] * (settings.search_by is not None)
    return (
        Phase("validation", tuple(ranked), validation, Split.VALIDATION),
        *([grown] if grows else []),
        Phase("validation of the best", again, _once_chosen(validation, 4 * validation.targets), Split.VALIDATION),
        Phase("test", (tested,), _once_chosen(validation, fidelity.test_targets), Split.TEST),
        *both,
    )


def _family_sizes(settings: Settings) -> dict[str, int]:
    """How many members each of the tuned families has."""
    problem = settings.n_in, settings.n_out, settings.layout, settings.budget
    return {family: _size_of(family, *problem) for family in BASELINES}


@lru_cache(maxsize=64)
def _size_of(family: str, n_in: int, n_out: int, layout: Layout | None, budget: int) -> int:
    return len(candidates_at(family, n_in, n_out, layout, budget))


def _once_chosen(fidelity: Fidelity, targets: int) -> Fidelity:
    """So many targets at one learning rate and weight decay, as they are after one evaluation has chosen them."""
    return fidelity.at(targets, fidelity.rates[0], fidelity.weight_decays[0])


def planned_workers(settings: Settings) -> int:
    """The workers among which a search is divided, as far as that is known before it begins."""
    return 1 if settings.cluster.pool == "in-process" else settings.cluster.workers or usable_cores()
