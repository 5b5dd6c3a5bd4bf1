"""How fast this machine is: the seconds of a training step, and how much longer dense layers take."""

from __future__ import annotations

import time
from functools import lru_cache

from evaluators.staged import Staged
from evaluators.task import Evaluator, Fidelity, SlowEvaluator, Split
from evo.experiment.stack_members import by_dense_size
from evo.settings import Settings
from evo.storage.pools import evaluator_of
from topologies.families import fits
from topologies.stack import AnyTopology, Sizes, stacked
from topologies.topology import Topology

_LARGE = 1 << 17
"""Entries of a matrix above which a smaller one is measured."""
_WORK = 1e9
"""Edges times inputs times steps of a measurement, at most: a second or two."""

EPOCH = 1000.0
"""Steps of a reconstruction that take about as long as an epoch of training, for a line of progress."""

_ROWS = 256
"""Examples in a mini-batch, as a rule."""


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


def _largest(sizes: Sizes, budget: int) -> AnyTopology:
    """For every place the member of a hand-derived family with the most edges, of those that families would choose."""
    budgets = by_dense_size(sizes, budget)
    return stacked(_large(*size, part) for size, part in zip(sizes, budgets, strict=True)).canonical


def _large(n_in: int, n_out: int, budget: int) -> Topology:
    found = fits(n_in, n_out, max(budget, min(n_in + n_out, n_in * n_out))).values()
    return max((member.topology() for member in found), key=lambda one: one.n_edges)
