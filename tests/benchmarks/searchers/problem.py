"""What all searchers are given: a size and budget, founders, the baseline's bounds, and how candidates are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluators import Fidelity, MatrixReconstruction, Split
from evaluators.task import Race, Score
from evo.algorithm.individual import InitialMember
from evo.algorithm.inheritance import Grid
from evo.algorithm.level import harder_by
from evo.experiment.baselines import candidates
from evo.experiment.initial_population import FAMILIES, initial_population
from evo.experiment.tune import Trial
from evo.fidelity_settings import FidelitySettings
from evo.variation.bounds import Bounds
from topologies.topology import Topology

DEFAULT = FidelitySettings()
GRID = Grid(DEFAULT.rates, (0.0,))
RECONSTRUCTION = MatrixReconstruction()
MEMBERS = 24
"""Members of a family that are scored: those with the most trainable edges."""
RANKED = 4
"""Of these, how many are ranked as finalists are."""
ALL_RATES = Fidelity(DEFAULT.targets, DEFAULT.steps, GRID.rates)
CHOOSE = Fidelity(DEFAULT.validation_targets, DEFAULT.validation_steps, DEFAULT.validation_rates)


@dataclass(frozen=True)
class Problem:
    """A size and budget with its founders and baseline, and what candidates must keep to."""

    n_in: int
    n_out: int
    budget: int
    bounds: Bounds
    limits: tuple[int, int]
    founders: tuple[InitialMember, ...]
    baseline: Topology
    random_regular: Topology | None


@dataclass
class Elite:
    """The best few candidates so far on many targets, the best first."""

    seed: int
    known: list[tuple[Topology, Score]] = field(default_factory=list)

    def score(self, topology: Topology, rate: float | None) -> Score:
        """A candidate's score on few targets, or on many where it joins the elite."""
        threshold = None
        if len(self.known) == DEFAULT.finalists:
            errors = [one.errors for _, one in self.known]
            threshold = self.known[-1][1].error - harder_by(errors, DEFAULT.targets)
        score = raced(topology, rate, threshold, self.seed)
        if len(score.errors) == DEFAULT.race_targets:
            known = sorted([*self.known, (topology, score)], key=lambda one: one[1].error)
            self.known = known[: DEFAULT.finalists]
        return score


def raced(topology: Topology, rate: float | None, threshold: float | None, seed: int) -> Score:
    """A score on few targets, at every rate where none is given, or on many where it is below the threshold."""
    fidelity = Fidelity(DEFAULT.targets, DEFAULT.steps, GRID.rates if rate is None else (rate,))
    score = RECONSTRUCTION.evaluate(topology, fidelity, Split.SEARCH, seed)
    if not Race(threshold, DEFAULT.race_targets).promotes(score):
        return score
    return RECONSTRUCTION.evaluate(topology, fidelity.promoted(DEFAULT.race_targets, score), Split.SEARCH, seed)


def problem(n_in: int, n_out: int, budget: int) -> Problem:
    """The founders a search would begin with, and the baseline's bounds."""
    found = {family: _ranked(family, n_in, n_out, budget) for family in FAMILIES}
    baseline = next(found[family][0] for family in FAMILIES if found[family])
    bounds = Bounds(budget, baseline.depth, max(2 * max(n_in, n_out), *baseline.widths), max(baseline.n_edges, budget))
    trials = {
        family: [Trial(number, family, topology) for number, topology in enumerate(ranked)]
        for family, ranked in found.items()
    }
    return Problem(
        n_in=n_in,
        n_out=n_out,
        budget=budget,
        bounds=bounds,
        limits=(baseline.n_edges, baseline.depth),
        founders=initial_population(trials, {}, bounds, n_in, n_out, 0),
        baseline=baseline,
        random_regular=next(iter(found["random_regular"]), None),
    )


def _ranked(family: str, n_in: int, n_out: int, budget: int) -> list[Topology]:
    """The members of a family, the best first: all as candidates are scored, then the first few as finalists are."""
    members = sorted(candidates(family, n_in, n_out, budget), key=lambda one: -one.n_trainable)[:MEMBERS]
    built = [member.topology().canonical for member in members]
    screened = sorted(built, key=lambda one: RECONSTRUCTION.evaluate(one, ALL_RATES, Split.VALIDATION, 0).error)
    first = sorted(screened[:RANKED], key=lambda one: RECONSTRUCTION.evaluate(one, CHOOSE, Split.VALIDATION, 0).error)
    return first + screened[RANKED:]


def error_on_test_targets(finalists: Sequence[Topology], seed: int) -> float:
    """The error on the test targets of the finalist that the validation targets choose."""
    scores = [RECONSTRUCTION.evaluate(one, CHOOSE, Split.VALIDATION, seed) for one in finalists]
    best = int(np.argmin([score.error for score in scores]))
    fidelity = CHOOSE.promoted(DEFAULT.test_targets, scores[best])
    return RECONSTRUCTION.evaluate(finalists[best], fidelity, Split.TEST, seed).error
