"""What a search will do and cost, before it starts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from cluster.ray_session import usable_cores
from evaluators.staged import Staged
from evaluators.task import Evaluator, Fidelity, SlowEvaluator, Split
from evo.algorithm.nsga2 import Policy
from evo.experiment.baselines import candidates_at
from evo.experiment.initial_population import FAMILIES, PER_FAMILY, WIRINGS
from evo.experiment.space_baselines import sizes_in_space
from evo.experiment.stack_members import by_dense_size
from evo.experiment.validation import RETRAININGS, n_promoted
from evo.settings import Settings
from evo.storage.names import BASELINES, DENSE, OF_SPACE, PARALLEL_BUTTERFLY
from evo.storage.pools import evaluator_of
from topologies.families import fits
from topologies.stack import AnyTopology, Layout, Sizes, stacked
from topologies.topology import Topology


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


_LARGE = 1 << 17
"""Entries of a matrix above which a smaller one is measured."""
_WORK = 1e9
"""Edges times inputs times steps of a measurement, at most: a second or two."""

EPOCH = 1000.0
"""Steps of a reconstruction that take about as long as an epoch of training, for a line of progress."""

UNTUNED = 3
"""Rows of one finalist: the paper's growth rule, the evolved law, and the champion shuffled."""

_ROWS = 256
"""Examples in a mini-batch, as a rule."""

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
        *sorted(
            (*_ranked_and_tested(settings, ranked, tested), *dense_phases(settings)),
            key=lambda phase: phase.split is Split.TEST,
        ),
        *([afresh] if settings.retrains else []),
    )


def dense_phases(settings: Settings) -> tuple[Phase, ...]:
    """The phases in which dense layers are trained for a row of their own; none where they are not."""
    if not settings.trains_dense:
        return ()
    work = dense_work(settings)
    ranked = _ranked_and_tested(settings, [1], 1)
    return tuple(replace(phase, name=f"{phase.name}: {DENSE}", work=work) for phase in ranked if phase.evaluations)


def dense_work(settings: Settings) -> float:
    """How many times as long as cascades of a recipe's budget dense layers take to train, as far as that is known."""
    return _dense_work(settings.sizes, settings.budget)


@lru_cache(maxsize=64)
def _dense_work(sizes: Sizes, budget: int) -> float:
    from topologies.kernel.way import dense_cost, predicted_time

    dense = [dense_cost(*size, _ROWS) for size in sizes]
    places = _largest(sizes, budget).places
    shares = [predicted_time(place, _ROWS) for place in places]
    return sum(dense) / sum(one * share for one, share in zip(dense, shares, strict=True))


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


def seconds_per_step(settings: Settings) -> dict[Split, float]:
    """Seconds that one training step on each split takes on this machine: finalists may have another evaluator."""
    evaluator = evaluator_of(settings)
    search, final = (evaluator.search, evaluator.final) if isinstance(evaluator, Staged) else (evaluator, None)
    of_search = _seconds_of(settings, search)
    of_final = of_search if final is None else _seconds_of(settings, final)
    return {split: of_search if split is Split.SEARCH else of_final for split in Split}


def usual_seconds(settings: Settings) -> dict[Split, float]:
    """The same where nothing was measured, in units of a step of the search."""
    longer = settings.search_by is not None and settings.training is not None
    return {split: EPOCH if longer and split is not Split.SEARCH else 1.0 for split in Split}


def _seconds_of(settings: Settings, evaluator: Evaluator) -> float:
    """Seconds that one training step of a topology of the recipe's size and budget takes.

    Measured on the member of a hand-derived family with the most edges. A step's work is in proportion to edges times
    inputs, so where that is large a smaller problem of the same proportions is measured, and few steps. An evaluator
    whose steps are long is measured at its own size, and few steps as well.
    """
    if settings.training is not None:
        from evaluators.training import TrainedAccuracy

        if isinstance(evaluator, TrainedAccuracy):
            return seconds_per_epoch(settings)
    slow = isinstance(evaluator, SlowEvaluator)
    part = 1 if slow else max(1, round((settings.n_in * settings.n_out / _LARGE) ** 0.5))
    n_in = max(2, settings.n_in // part)
    sizes = tuple((max(2, one // part), max(2, other // part)) for one, other in settings.sizes)
    topology = _largest(sizes, max(2, settings.budget // part))
    steps = 1 if slow else int(min(400, max(4, _WORK / (topology.n_edges * n_in))))
    targets = 1 if slow else 8
    # The first evaluation compiles, and is not measured.
    for fidelity in (Fidelity(targets, 1, (0.1,)), Fidelity(targets, steps, (0.1,))):
        start = time.perf_counter()
        evaluator.evaluate(topology, fidelity, Split.SEARCH, settings.seed)
    measured = (time.perf_counter() - start) / fidelity.cost
    return float(measured * (settings.budget / topology.n_trainable) * (settings.n_in / n_in))


def seconds_per_epoch(settings: Settings) -> float:
    """Seconds that an epoch of training on a recipe's data takes, with its share of the scoring at the end.

    A few steps are timed, so that it does not take longer where there are more examples.
    """
    from evaluators.training import TrainedAccuracy
    from evaluators.training.pace import pace

    evaluator, steps = evaluator_of(settings), settings.fidelity.steps
    if isinstance(evaluator, Staged):
        evaluator, steps = evaluator.final, settings.fidelity.validation_steps
    assert isinstance(evaluator, TrainedAccuracy)
    found = pace(evaluator, _largest(settings.sizes, settings.budget))
    part = len(evaluator.data.part(Split.SEARCH))
    return found.training * len(evaluator.data.train) + found.scoring * part / steps


def _largest(sizes: Sizes, budget: int) -> AnyTopology:
    """For every place the member of a hand-derived family with the most edges, of those that families would choose."""
    budgets = by_dense_size(sizes, budget)
    return stacked(_large(*size, part) for size, part in zip(sizes, budgets, strict=True)).canonical


def _large(n_in: int, n_out: int, budget: int) -> Topology:
    found = fits(n_in, n_out, max(budget, min(n_in + n_out, n_in * n_out))).values()
    return max((member.topology() for member in found), key=lambda one: one.n_edges)
