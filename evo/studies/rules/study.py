"""The search for a rule (``evofabric search runs/rule.toml``): tune a baseline at every case, evolve, test.

A case is a size and a budget. Rules are raced: they are tried at the cheap cases first, and one that does clearly
worse there than the population is stopped. Everything goes through a run's journal, so that the search can be stopped
and continued, and comes to the same rule on any number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, field_validator

from evaluators.function import Function
from evaluators.task import Evaluator, Fidelity, Score, Split, Task
from evo.kinds import Kind
from evo.run_settings import RunSettings
from evo.section import Count, Section
from evo.storage.evaluations import Request
from evo.storage.records import GenerationRecord, Origin, PhaseStarted, RuleRecord
from evo.storage.run import Run, Watcher, open_run
from evo.studies.rules.breed import Bred, Ranked, breed
from topologies.families import HAND_DERIVED, Member, fits, members
from topologies.families.rule import Rule, least_budget
from topologies.families.ruled import ruled
from topologies.topology import Topology

Case = tuple[int, int, int]
"""Inputs, outputs and trainable edges."""

RULES, CHAMPION, BASELINE = "rules", "champion", "baseline"
HEATS = (4, 8, 12)
"""How many cases a rule was tried at when it may be stopped; in the end it is tried at all."""
MARGIN = 0.05
"""By how much more, in log odds, than the worst of the population a rule is stopped."""
_LEAST = 1e-12  # errors are kept from 0 and 1 by so much, or their odds would be infinite


class RuleLoopSettings(Section):
    """The size of the search."""

    generations: Annotated[int, Field(ge=0)] = 60
    offspring: Count = 16
    population: Annotated[int, Field(ge=4)] = 14


class RuleSettings(RunSettings):
    """The recipe of a search for a rule: the cases it is evolved on, and how carefully it is scored."""

    kind: ClassVar[Kind] = Kind.RULES
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")] = "rule"
    cases: Annotated[tuple[Case, ...], Field(min_length=2)]
    """Size and budget, ``[n_in, n_out, budget]``."""
    loop: RuleLoopSettings = RuleLoopSettings()
    baseline: str = "random_regular"
    """The family to beat."""
    trials: Count = 12
    """Its largest members that are tried at every case."""
    search: Fidelity = Fidelity(4, 600, (0.6, 1.2))
    validation: Fidelity = Fidelity(8, 1200, (0.6, 1.2, 2.4))
    test_targets: Count = 16
    finalists: Count = 3
    """Rules, and members of the baseline, that are ranked again on the validation targets."""

    @property
    def label(self) -> str:
        """What the folders of the recipe's runs begin with."""
        return f"{self.name}-{len(self.cases)}cases-s{self.seed}"

    @field_validator("cases")
    @classmethod
    def _cases_can_be_had(cls, cases: tuple[Case, ...]) -> tuple[Case, ...]:
        """The cases, the cheapest first."""
        for n_in, n_out, budget in cases:
            if min(n_in, n_out) < 2 or not least_budget(n_in, n_out) <= budget <= n_in * n_out:
                raise ValueError(
                    f"[{n_in}, {n_out}, {budget}]: sides of at least 2 are wanted, and a budget from "
                    "n_in + n_out - 1 to n_in * n_out"
                )
        return tuple(sorted(cases, key=lambda case: (case[0] * case[2], case)))


def search_rules(
    settings: RuleSettings,
    evaluator: Evaluator | Function | None = None,
    *,
    folder: Path | None = None,
    watcher: Watcher = lambda event: None,
) -> Path:
    """Run a search for a rule, or what is left of it, and return its folder; arguments and errors are those of
    :func:`evo.experiment.search.search`.
    """
    with open_run(settings, evaluator, folder, watcher) as run:
        tuned = [_tuned(run, place) for place in range(len(settings.cases))]
        odds = [log_odds(one[0][1]) for one in tuned]
        population: list[Ranked] = []
        for generation in range(settings.loop.generations + 1):
            size = settings.loop.offspring
            if generation == 0:
                size = max(size, settings.loop.population)
            first = 0 if generation == 0 else max(size, settings.loop.population) + size * (generation - 1)
            born = breed(population, generation, first, size, settings.seed)
            run.show(PhaseStarted(f"rules, generation {generation} of {settings.loop.generations}"))
            found = _raced(run, born, population, odds)
            every = [*population, *(one for one in found if math.isfinite(one.fitness))]
            population = sorted(every, key=lambda one: one.fitness)[: settings.loop.population]
            if not population:
                raise ValueError(f"no rule could be evaluated: {run.evaluations.last_failure}")
            run.note(
                GenerationRecord(
                    phase=RULES,
                    number=generation,
                    candidates=first + size,
                    best=math.exp(population[0].fitness),
                    baseline=1.0,
                    hypervolume=0.0,
                )
            )
        _concluded(run, population, tuned)
        return run.folder


def log_odds(score: Score | None) -> float:
    """The logarithm of error / (1 - error): of small errors that of the error, of errors near 1 that of the energy left
    out over the energy captured. Infinite where there is no score.
    """
    if score is None:
        return math.inf
    error = min(max(score.error, _LEAST), 1 - _LEAST)
    return math.log(error / (1 - error))


Tried = tuple[Member, Score]
"""A member of the baseline and its score."""


def _tuned(run: Run[RuleSettings], place: int) -> list[Tried]:
    """The members of the baseline's family that were tried at a case, the best first; of another where it has none."""
    settings, (n_in, n_out, budget) = run.settings, run.settings.cases[place]
    found = members(settings.baseline, n_in, n_out, budget) or [
        one for name, one in fits(n_in, n_out, budget).items() if name in HAND_DERIVED
    ]
    found = sorted(found, key=lambda one: (-one.n_trainable, one.expression))[: settings.trials]
    run.show(PhaseStarted(f"baseline of {n_in} x {n_out}, {budget} edges", len(found)))
    scores = _scores(run, f"{BASELINE} {place}", [one.topology() for one in found], settings.search, Split.SEARCH)
    tried = [(member, score) for member, score in zip(found, scores, strict=True) if score is not None]
    if not tried:
        raise ValueError(f"no baseline of {n_in} x {n_out} could be evaluated: {run.evaluations.last_failure}")
    return sorted(tried, key=lambda one: one[1].error)


def _raced(
    run: Run[RuleSettings], born: Sequence[Bred], population: Sequence[Ranked], odds: Sequence[float]
) -> list[Ranked]:
    """Try rules case by case; those that fall behind the whole population are stopped after a heat."""
    ratios: dict[int, list[float]] = {one.number: [] for one in born}
    going, full = list(born), len(population) == run.settings.loop.population
    for start, end in _heats(len(odds)):
        requests = [_request(run.settings, one, place) for one in going for place in range(start, end)]
        scores = iter(run.evaluations.evaluate(requests))
        for one in going:
            ratios[one.number] += [log_odds(next(scores)) - odds[place] for place in range(start, end)]
        if full and end < len(odds):
            bar = max(float(np.mean(one.ratios[:end])) for one in population) + MARGIN
            going = [one for one in going if float(np.mean(ratios[one.number])) <= bar]
        going = [one for one in going if math.isfinite(sum(ratios[one.number]))]
    found = []
    for one in born:
        known = tuple(ratio for ratio in ratios[one.number] if math.isfinite(ratio))
        fitness = float(np.mean(known)) if one in going else math.inf
        found.append(Ranked(one, known, fitness))
        run.note(_rule_record(RULES, one.number, found[-1]))
    return found


def _heats(cases: int) -> Iterator[tuple[int, int]]:
    """From which case to which a heat goes."""
    yield from pairwise([0, *(end for end in HEATS if end < cases), cases])


def built(rule: Rule, case: Case, place: int) -> Topology:
    """The topology that a rule makes at a case, each case with a wiring of its own."""
    return ruled(rule, *case, seed=place)


def _request(settings: RuleSettings, one: Bred, place: int) -> Request:
    origin = Origin(generation=one.generation, parents=one.parents, operator=one.operator)
    return Request(
        phase=RULES,
        number=one.number * len(settings.cases) + place,
        task=Task(
            topology=built(one.rule, settings.cases[place], place).canonical,
            fidelity=settings.search,
            split=Split.SEARCH,
            seed=settings.seed,
        ),
        origin=origin,
    )


def _scores(
    run: Run[RuleSettings], phase: str, topologies: Sequence[Topology], fidelity: Fidelity, split: Split
) -> list[Score | None]:
    requests = [
        Request(
            phase=phase,
            number=number,
            task=Task(topology=one.canonical, fidelity=fidelity, split=split, seed=run.settings.seed),
        )
        for number, one in enumerate(topologies)
    ]
    return run.evaluations.evaluate(requests)


def _concluded(run: Run[RuleSettings], population: Sequence[Ranked], tuned: Sequence[Sequence[Tried]]) -> None:
    """Rank the finalists on the validation targets, and compare the best with the baselines on the test targets."""
    settings = run.settings
    finalists = population[: settings.finalists]
    run.show(PhaseStarted("validation", (len(finalists) + settings.finalists) * len(settings.cases)))
    ranked: list[tuple[float, Ranked, list[Score | None]]] = []
    for one in finalists:
        topologies = [built(one.bred.rule, case, place) for place, case in enumerate(settings.cases)]
        scores = _scores(run, f"validation {one.bred.number}", topologies, settings.validation, Split.VALIDATION)
        ranked.append((float(np.mean([log_odds(score) for score in scores])), one, scores))
    _, best, chosen = min(ranked, key=lambda one: (one[0], one[1].bred.number))
    run.show(PhaseStarted("test", 2 * len(settings.cases)))
    ratios = []
    for place, case in enumerate(settings.cases):
        few = [one.topology() for one, _ in tuned[place][: settings.finalists]]
        scores = _scores(run, f"validation {BASELINE} {place}", few, settings.validation, Split.VALIDATION)
        rows = [(score.error, at) for at, score in enumerate(scores) if score is not None]
        at = min(rows)[1] if rows else 0
        pair = ((built(best.bred.rule, case, place), chosen[place]), (few[at], scores[at]))
        tested = [
            _scores(
                run, test_phase(row, place), [one], settings.validation.promoted(settings.test_targets, score),
                Split.TEST,
            )[0]
            for row, (one, score) in zip((CHAMPION, BASELINE), pair, strict=True)
        ]  # fmt: skip
        ratios.append(log_odds(tested[0]) - log_odds(tested[1]))
    known = tuple(ratio for ratio in ratios if math.isfinite(ratio))
    final = Ranked(best.bred, known, float(np.mean(known)) if len(known) == len(ratios) else math.inf)
    run.note(_rule_record(CHAMPION, 0, final))


def test_phase(row: str, place: int) -> str:
    """What the journal calls the test of the champion or of the baseline at a case."""
    return f"test {row} {place}"


def _rule_record(phase: str, number: int, one: Ranked) -> RuleRecord:
    return RuleRecord(
        phase=phase,
        number=number,
        generation=one.bred.generation,
        parents=one.bred.parents,
        operator=one.bred.operator,
        law=one.bred.rule.law,
        wiring=one.bred.rule.wiring.value,
        ratios=one.ratios,
        fitness=one.fitness if math.isfinite(one.fitness) else None,
    )
