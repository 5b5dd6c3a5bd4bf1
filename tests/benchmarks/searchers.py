"""Evolution beside other searchers: the same space, evaluator, founders and core time, errors on test targets.

Rivals are random search, a plain (mu + lambda) evolution, and Optuna's TPE and CMA-ES on the statistics of layers
(depth, widths, constants, shares of the budget; the wiring is drawn at random). Every candidate is trained on 8 targets
at one learning rate, and on 32 where it would join the best eight, of which the validation targets choose one. Needs
`pip install evofabric[bench]`; run with
`python -m tests.benchmarks.searchers --budgets 160 640 --seeds 3 --seconds 30 60 --out lines.csv`; one core.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import optuna

from evaluators import Fidelity, MatrixReconstruction, Split
from evaluators.rng import generator
from evaluators.task import Race, Score
from evo.algorithm.individual import Individual, InitialMember
from evo.algorithm.inheritance import Grid, inherited
from evo.algorithm.level import harder_by
from evo.algorithm.nsga2 import Policy, Rules, State, ask, promotion_threshold, tell
from evo.experiment.baselines import candidates
from evo.experiment.initial_population import FAMILIES, PER_FAMILY
from evo.settings import FidelitySettings, LoopSettings
from evo.variation import fill, mutate
from evo.variation.bounds import Bounds
from evo.variation.redraw import drawn
from evo.variation.repair import repair
from topologies.topology import Topology

DEFAULT = FidelitySettings()
GRID = Grid(DEFAULT.rates, (0.0,))
RECONSTRUCTION = MatrixReconstruction()
MEMBERS = 24
"""Members of a family that are scored: those with the most trainable edges."""
MU = 16
"""Parents of the plain evolution."""


@dataclass(frozen=True)
class Problem:
    """A size and budget with its founders and baseline, and what candidates must keep to."""

    n_in: int
    n_out: int
    budget: int
    bounds: Bounds
    limits: tuple[int, int]
    founders: tuple[tuple[str, Topology], ...]
    baseline: Topology


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
    found: dict[str, list[tuple[float, Topology]]] = {}
    for family in FAMILIES:
        members = sorted(candidates(family, n_in, n_out, budget), key=lambda one: -one.n_trainable)[:MEMBERS]
        fidelity = Fidelity(DEFAULT.targets, DEFAULT.steps, GRID.rates)
        built = [member.topology().canonical for member in members]
        scored = [(RECONSTRUCTION.evaluate(one, fidelity, Split.VALIDATION, 0).error, one) for one in built]
        found[family] = sorted(scored, key=lambda one: one[0])
    baseline = next(found[family][0][1] for family in FAMILIES if found[family])
    bounds = Bounds(budget, baseline.depth, max(2 * max(n_in, n_out), *baseline.widths), max(baseline.n_edges, budget))
    founders = []
    for family, members_found in found.items():
        for _, one in members_found[:PER_FAMILY]:
            fits = fill(one, bounds, generator(0, "founder", one.digest)) if one.n_edges <= bounds.max_edges else None
            if fits is not None:
                founders.append((family, fits.canonical))
    return Problem(n_in, n_out, budget, bounds, (baseline.n_edges, baseline.depth), tuple(founders), baseline)


Searcher = Callable[[Problem, Elite, int], Iterator[None]]
"""Scores one candidate after the other for as long as it is asked to."""


def _evolving(policy: Policy) -> Searcher:
    def search(of: Problem, elite: Elite, seed: int) -> Iterator[None]:
        initial = tuple(InitialMember(family, topology) for family, topology in of.founders)
        rules = Rules(policy, of.n_in, of.n_out, of.bounds, LoopSettings().offspring, LoopSettings().population,
                      DEFAULT.finalists, of.limits, initial, seed, grid=GRID)  # fmt: skip
        state = State()
        generation = 0
        while True:
            state, born = ask(state, rules, generation)
            threshold = promotion_threshold(state, rules, DEFAULT.targets)
            told = []
            for one in born:
                rate = None if one.inherited is None else one.inherited.learning_rate
                told.append(Individual(one, raced(one.topology.places[0], rate, threshold, elite.seed)))
                yield
            state, generation = tell(state, rules, told), generation + 1
            elite.known = [(one.topology.places[0], one.score) for one in state.elite if one.score is not None]

    return search


def plain(of: Problem, elite: Elite, seed: int) -> Iterator[None]:
    """(mu + lambda): the best are kept, each child is a mutation of one of them, operators as their weights say."""
    alive = []
    for _, topology in of.founders:
        alive.append((elite.score(topology, None), topology))
        yield
    for number in range(10**9):
        key = generator(seed, "plain", number)
        alive = sorted(alive, key=lambda one: one[0].error)[:MU]
        score, parent = alive[int(key.integers(len(alive)))]
        found = mutate(parent, of.bounds, key)
        if found is not None and found[1].n_edges <= of.limits[0]:
            at = inherited(score, GRID, key)
            topology = found[1].canonical
            alive.append((elite.score(topology, at.learning_rate if at else None), topology))
        yield


def _by_optuna(sampler: Callable[[int], optuna.samplers.BaseSampler]) -> Searcher:
    """A search for layer statistics by one of Optuna's samplers, which first tries those of the founders."""

    def search(of: Problem, elite: Elite, seed: int) -> Iterator[None]:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=sampler(seed))
        for _, founder in of.founders:
            elite.score(founder, None)
            study.enqueue_trial(_statistics(founder, of))
            yield
        for number in range(10**9):
            trial = study.ask(_space(of))
            topology = _topology(trial.params, of, generator(seed, "optuna", number))
            error = 1.0 if topology is None else elite.score(topology, trial.params["rate"]).error
            study.tell(trial, min(error, 1e9))
            yield

    return search


def _space(of: Problem) -> dict[str, optuna.distributions.BaseDistribution]:
    number = optuna.distributions.FloatDistribution
    space: dict[str, optuna.distributions.BaseDistribution] = {
        "depth": number(1.5, of.bounds.max_depth + 0.5),
        "rate": number(min(GRID.rates), max(GRID.rates), log=True),
    }
    for place in range(of.bounds.max_depth):
        space |= {
            f"width {place}": number(2, of.bounds.max_width, log=True),
            f"constants {place}": number(0, 3),
            f"share {place}": number(0.1, 10, log=True),
        }
    return space


def _statistics(topology: Topology, of: Problem) -> dict[str, float]:
    """A founder in the numbers of :func:`_space`; layers that it lacks are as its last."""
    layers, mean = topology.layers, topology.n_trainable / topology.depth
    found: dict[str, float] = {"depth": float(max(topology.depth, 2)), "rate": 1.2}
    for place in range(of.bounds.max_depth):
        layer = layers[min(place, len(layers) - 1)]
        trainable = int(layer.trainable.sum())
        found |= {
            f"width {place}": float(np.clip(layer.n_out, 2, of.bounds.max_width)),
            f"constants {place}": float(min((layer.sources.size - trainable) / layer.n_out, 3)),
            f"share {place}": float(np.clip(trainable / mean, 0.1, 10)),
        }
    return found


def _topology(params: dict[str, float], of: Problem, key: np.random.Generator) -> Topology | None:
    depth = min(max(round(params["depth"]), 2), of.bounds.max_depth)
    hidden = [round(params[f"width {place}"]) for place in range(depth - 1)]
    widths = [of.n_in, *hidden, of.n_out]
    constants = [params[f"constants {place}"] * widths[place + 1] for place in range(depth)]
    masks = drawn(widths, constants, [params[f"share {place}"] for place in range(depth)], of.budget, key)
    found = repair(masks, of.bounds, key)
    return None if found is None else found.canonical


SEARCHERS: dict[str, Searcher] = {
    "evolution": _evolving(Policy.EVOLUTION),
    "random search": _evolving(Policy.RANDOM),
    "(mu + lambda)": plain,
    "TPE": _by_optuna(lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True)),
    "CMA-ES": _by_optuna(lambda seed: optuna.samplers.CmaEsSampler(seed=seed)),
}


def error_on_test_targets(finalists: list[Topology], seed: int) -> float:
    """The error on the test targets of the finalist that the validation targets choose."""
    choose = Fidelity(DEFAULT.validation_targets, DEFAULT.validation_steps, DEFAULT.validation_rates)
    scores = [RECONSTRUCTION.evaluate(one, choose, Split.VALIDATION, seed) for one in finalists]
    best = int(np.argmin([score.error for score in scores]))
    fidelity = choose.promoted(DEFAULT.test_targets, scores[best])
    return RECONSTRUCTION.evaluate(finalists[best], fidelity, Split.TEST, seed).error


def run(name: str, of: Problem, seed: int, seconds: list[float]) -> Iterator[tuple[float, int, float]]:
    """After so many core seconds each: candidates, and the champion's test error over the baseline's."""
    elite = Elite(seed)
    steps = SEARCHERS[name](of, elite, seed)
    baseline = error_on_test_targets([of.baseline], seed)
    spent, scored = 0.0, 0
    for stop in sorted(seconds):
        while spent < stop:
            start = time.process_time()
            next(steps)
            spent, scored = spent + time.process_time() - start, scored + 1
        champions = [topology for topology, _ in elite.known]
        yield stop, scored, error_on_test_targets(champions, seed) / baseline


def main() -> None:
    """Run every searcher from every seed, and write a line each."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.searchers", description=__doc__)
    parser.add_argument("--size", default="32x32")
    parser.add_argument("--budgets", type=int, nargs="+", default=[160, 640])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, nargs="+", default=[30.0, 60.0])
    parser.add_argument("--only", nargs="+", choices=SEARCHERS, default=list(SEARCHERS))
    parser.add_argument("--out", type=Path, default=Path("searchers.csv"))
    given = parser.parse_args()
    n_in, n_out = map(int, given.size.split("x"))
    with given.out.open("a", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["size", "budget", "seed", "searcher", "core_seconds", "candidates", "error_over_baseline"])
        for budget in given.budgets:
            of = problem(n_in, n_out, budget)
            for seed in range(1, given.seeds + 1):
                for name in given.only:
                    for stop, scored, ratio in run(name, of, seed, given.seconds):
                        lines.writerow([given.size, budget, seed, name, stop, scored, f"{ratio:.4f}"])
                        file.flush()


if __name__ == "__main__":
    main()
