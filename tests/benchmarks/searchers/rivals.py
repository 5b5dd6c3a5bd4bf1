"""The searchers, each of which scores one candidate after the other for as long as it is asked to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import optuna

from evaluators.rng import generator
from evo.algorithm.individual import Candidate, Individual
from evo.algorithm.inheritance import inherited
from evo.algorithm.nsga2 import Policy, Rules, State, ask, promotion_threshold, tell
from evo.settings import LoopSettings
from evo.variation import mutate
from evo.variation.redraw import drawn
from evo.variation.repair import repair
from tests.benchmarks.searchers.problem import DEFAULT, GRID, Elite, Problem, raced
from topologies.topology import Topology

MU = 16
"""Parents of the plain evolution."""


Searcher = Callable[[Problem, Elite, int], Iterator[None]]
"""Scores one candidate after the other for as long as it is asked to."""


def _evolving(policy: Policy, offspring: int = LoopSettings().offspring) -> Searcher:
    """A search as a recipe describes it, with several generations bred before the first of them is told."""

    def search(of: Problem, elite: Elite, seed: int) -> Iterator[None]:
        rules = Rules(policy, of.n_in, of.n_out, of.bounds, offspring, LoopSettings().population,
                      DEFAULT.finalists, of.limits, of.founders, seed, grid=GRID)  # fmt: skip
        state, generation = State(), 0
        sent: deque[tuple[Sequence[Candidate], float | None]] = deque()
        while True:
            while len(sent) < LoopSettings().max_pending_generations:
                state, born = ask(state, rules, generation)
                sent.append((born, promotion_threshold(state, rules, DEFAULT.targets)))
                generation += 1
            told = []
            born, threshold = sent.popleft()
            for one in born:
                rate = None if one.inherited is None else one.inherited.learning_rate
                told.append(Individual(one, raced(one.topology.places[0], rate, threshold, elite.seed)))
                yield
            state = tell(state, rules, told)
            elite.known = [(one.topology.places[0], one.score) for one in state.elite if one.score is not None]

    return search


def plain(of: Problem, elite: Elite, seed: int) -> Iterator[None]:
    """(mu + lambda): the best are kept, each child is a mutation of one of them, operators as their weights say."""
    alive = []
    for founder in of.founders:
        (topology,) = founder.topology.places
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
        for founder in of.founders:
            (topology,) = founder.topology.places
            elite.score(topology, None)
            study.enqueue_trial(_statistics(topology, of))
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
    "evolution, 8 in flight": _evolving(Policy.EVOLUTION, offspring=2),
    "random search": _evolving(Policy.RANDOM),
    "(mu + lambda)": plain,
    "TPE": _by_optuna(lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True)),
    "CMA-ES": _by_optuna(lambda seed: optuna.samplers.CmaEsSampler(seed=seed)),
}
