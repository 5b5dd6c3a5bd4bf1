"""The hand-derived topologies that evolution is compared with, each at its best member."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, count

import numpy as np

from evaluators.task import Score, Split, Task
from evo.algorithm.individual import SAMPLED
from evo.algorithm.nsga2 import Rules
from evo.experiment.initial_population import names_of_own
from evo.experiment.stack_members import AnyMember, by_dense_size, fitted_members, stack_members
from evo.experiment.tune import Trial, tune
from evo.experiment.validation import choose
from evo.settings import Settings
from evo.storage import names
from evo.storage.evaluations import Request
from evo.storage.names import BASELINES, BETWEEN_PLACES, GIVEN_BASELINE, LAW, PARALLEL_BUTTERFLY, ROWS
from evo.storage.records import Origin, PhaseStarted
from evo.storage.results import Chosen, Finalist
from evo.storage.run import Run
from topologies.families import FAMILIES, members
from topologies.families.blocks import dense
from topologies.families.butterfly import parallel_butterfly
from topologies.families.evolved import evolved
from topologies.families.family import Member
from topologies.families.rule import least_budget
from topologies.stack import Layout, Stack, stacked


def tuned(run: Run[Settings], family: str) -> tuple[Trial, ...]:
    """Optuna's trials of a family at the run's size and budget, best first."""
    settings = run.settings
    run.show(PhaseStarted(names.tuning(family)))
    found, tuning = candidates_of(family, settings), settings.tuning
    return tune(
        found, lambda trials: scores(run, family, trials), tuning.trials, settings.seed, fit_of(family, settings)
    )


def scores(run: Run[Settings], family: str, trials: Sequence[Trial]) -> list[Score | None]:
    """The scores on the search targets of trials of a family."""
    fidelity, seed = run.settings.fidelity.search, run.settings.seed
    return run.evaluations.evaluate(
        [
            Request(
                phase=names.tuning(family),
                number=trial.number,
                task=Task(topology=trial.topology, fidelity=fidelity, split=Split.SEARCH, seed=seed),
                origin=Origin(label=trial.expression, family=family),
            )
            for trial in trials
        ]
    )


def candidates_of(family: str, settings: Settings) -> Sequence[AnyMember]:
    """The family's members at a recipe's sizes within its budget, see :func:`candidates`; for a model with several
    places stacks of them.
    """
    return candidates_at(family, settings.n_in, settings.n_out, settings.layout, settings.budget)


def fit_of(family: str, settings: Settings) -> AnyMember | None:
    """What a family chooses by itself at a recipe's sizes and budget, see ``Family.fit``; None where it has nothing."""
    try:
        if settings.layout is None:
            return FAMILIES[family].fit(settings.n_in, settings.n_out, settings.budget)
        return fitted_members(settings.layout, settings.budget, FAMILIES[family].fit)
    except ValueError:
        return None


def candidates_at(family: str, n_in: int, n_out: int, layout: Layout | None, budget: int) -> Sequence[AnyMember]:
    """The family's members of a size or, where there is a layout, for all its places."""
    if layout is None:
        return candidates(family, n_in, n_out, budget)
    return stack_members(layout, budget, partial(candidates, family))


def candidates(family: str, n_in: int, n_out: int, budget: int) -> list[Member]:
    """The family's connected members within the budget; if there are none, those that leave pairs unconnected."""
    return members(family, n_in, n_out, budget) or FAMILIES[family].too_shallow(n_in, n_out, budget)


def best_member(run: Run[Settings], family: str, trials: Sequence[Trial]) -> Chosen | None:
    """The best of the first few trials that have a score, at full fidelity on the validation targets, if any has."""
    scored = [trial for trial in trials if trial.score is not None]
    finalists = [Finalist(trial.expression, trial.topology) for trial in scored[: run.settings.fidelity.finalists]]
    return choose(run, ROWS[family], finalists)


def best_founder(run: Run[Settings], rules: Rules) -> Chosen | None:
    """The best member of the initial population whose family has no row of its own; None if there is no such.

    They are ranked by their errors in the search, which are known, and the best few again on the validation targets.
    """
    members = [one for one in rules.initial_population if one.family not in (*ROWS, LAW, SAMPLED)]
    if not members:
        return None
    settings = run.settings
    own = {name: run.given[name] for name in settings.initial_population}
    called = names_of_own(own, rules.layout, rules.bounds, settings.seed)
    requests = [
        Request(
            phase=names.FOUNDER_ERRORS,
            number=place,
            task=Task(
                topology=one.topology,
                fidelity=settings.fidelity.search,
                split=Split.SEARCH,
                seed=settings.seed,
                measures=settings.objectives,
            ),
            origin=Origin(family=one.family),
        )
        for place, one in enumerate(members)
    ]
    found = zip(members, run.evaluations.evaluate(requests), strict=True)
    ranked = sorted(((one, score.error) for one, score in found if score is not None), key=lambda pair: pair[1])
    finalists = [
        Finalist(called.get(one.topology.digest, one.family), one.topology)
        for one, _ in ranked[: settings.fidelity.finalists]
    ]
    return choose(run, names.BEST_FOUNDER, finalists)


def given_baseline(run: Run[Settings]) -> Chosen | None:
    """The baseline that the recipe names, at full fidelity on the validation targets; None if it names none.

    Raises
    ------
    ValueError
        When it has more trainable edges than the budget, or could not be evaluated.
    """
    name, budget = run.settings.baseline, run.settings.budget
    if name is None:
        return None
    topology = run.given[name].canonical
    if topology.n_trainable > budget:
        raise ValueError(
            f"baseline {name!r} has {topology.n_trainable} trainable edges, more than the budget of {budget}"
        )
    chosen = choose(run, GIVEN_BASELINE, [Finalist(name, topology)])
    if chosen is None:
        raise ValueError(f"baseline {name!r} could not be evaluated: {run.evaluations.last_failure}")
    return chosen


def baseline_row(chosen: Mapping[str, Chosen]) -> str | None:
    """The name of the row to beat: the given baseline, else the parallel butterfly, else the best family.

    Families are compared on the validation targets; those that leave pairs unconnected do not count, and the random
    regular one, a control, only where there is no other. None where no family is left.
    """
    for first in (GIVEN_BASELINE, BASELINES[PARALLEL_BUTTERFLY]):
        if first in chosen:
            return first
    connected = {name: one for name, one in chosen.items() if one.finalist.topology.is_connected}
    derived = {name: one for name, one in connected.items() if name != BASELINES["random_regular"]} or connected
    fewest = min((len(one.validation.errors) for one in derived.values()), default=0)  # the first ones are the same
    return min(derived, key=lambda name: float(np.mean(derived[name].validation.errors[:fewest])), default=None)


def growth_rule_of(settings: Settings) -> Finalist | None:
    """The paper's own rule at a recipe's budget; at every place of a model with several, each at its share."""
    return _everywhere(settings, growth_rule)


def evolved_law_of(settings: Settings) -> Finalist | None:
    """What the law evolved at other sizes gives at a recipe's budget, one wiring; see :func:`growth_rule_of`."""
    return _everywhere(settings, evolved_law)


def dense_of(settings: Settings) -> list[Finalist]:
    """The dense layers that cascades stand in for, where they have a row."""
    return [Finalist("", stacked(dense(*size) for size in settings.sizes))] if settings.trains_dense else []


def _everywhere(settings: Settings, rule: Callable[[int, int, int], Finalist | None]) -> Finalist | None:
    """What a rule gives at a recipe's size, or at every place with a share of the budget; None if one has none."""
    if settings.places is None:
        return rule(settings.n_in, settings.n_out, settings.budget)
    sizes = settings.sizes
    found = [rule(*size, budget) for size, budget in zip(sizes, by_dense_size(sizes, settings.budget), strict=True)]
    rules = [one for one in found if one is not None]
    if len(rules) < len(found):
        return None
    label = BETWEEN_PLACES.join(dict.fromkeys(one.label for one in rules))
    return Finalist(label, Stack(tuple(place for one in rules for place in one.topology.places)))


def evolved_law(n_in: int, n_out: int, budget: int) -> Finalist | None:
    """What the law evolved at other sizes says of a size and budget; None below the least that it can connect."""
    if budget < least_budget(n_in, n_out):
        return None
    return Finalist(f"evolved({n_in}, {n_out}, {budget})", evolved(n_in, n_out, budget).canonical)


def growth_rule(n_in: int, n_out: int, budget: int) -> Finalist | None:
    """The paper's own rule (VII-E): one butterfly deepens up to d layers, then copies are added; None if none fits.

    The paper leaves d open. Here it is twice the number of base-2 digits: the least depth at which every input has
    more than one path to every output, so that no entry is left to constants alone.
    """
    digits = (max(n_in, n_out) - 1).bit_length()
    deepening = ((1, depth) for depth in range(digits, 2 * digits))
    widening = ((copies, 2 * digits) for copies in count(1))
    best = None
    for p, d in chain(deepening, widening):
        topology = parallel_butterfly(n_in, p, d, n_out=n_out)
        if topology.n_trainable > budget:
            break
        best = Finalist(f"p = {p}, d = {d}", topology)
    return best and replace(best, topology=best.topology.canonical)
