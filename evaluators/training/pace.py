"""How fast a model with a topology's cascades trains and answers on this machine, on one thread, from a few steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from evaluators.task import Split
from evaluators.training.data import Part
from evaluators.training.evaluator import TrainedAccuracy
from evaluators.training.models import layers_of, model_function
from evaluators.training.training import alone, error, train
from topologies.stack import AnyTopology

_FEWEST, _MOST = 4, 64
"""Mini-batches that are timed at once: few where they take long, and many where the optimiser's making would count."""
_LOT = 0.2
"""Seconds that such a lot should take."""


class Pace(NamedTuple):
    """Seconds an example takes: in a training step, its share of the optimiser's included, and when it is scored."""

    training: float
    scoring: float


def pace(evaluator: TrainedAccuracy, topology: AnyTopology, seconds: float = 1.0) -> Pace:
    """Time steps for so many seconds, however many examples there are."""
    part, batch = evaluator.data.train, min(evaluator.batch, len(evaluator.data.train))
    scored = _first(evaluator.data.part(Split.SEARCH), 2000)
    with alone(0):
        model = model_function(evaluator.model)(
            layers_of(topology, len(evaluator.sizes), evaluator.layer), evaluator.data.outputs
        )
        draws = np.random.default_rng(0)

        def per_example(steps: int, seconds: float) -> float:
            few = _first(part, min(steps, len(part) // batch) * batch)
            return _per_run(lambda: train(model, few, 1, 1e-4, 0.0, batch, draws), seconds) / len(few)

        roughly = per_example(_FEWEST, 0.0) * batch
        training = per_example(int(np.clip(_LOT / roughly, _FEWEST, _MOST)), seconds)
        scoring = _per_run(lambda: error(model, scored), seconds / 4) / len(scored)
    return Pace(training, scoring)


def _first(part: Part, count: int) -> Part:
    return Part(part.x[:count], part.y[:count])


def _per_run(run: Callable[[], object], seconds: float) -> float:
    """Median seconds of a run, of as many as there is time for, after one that is not counted."""
    run()
    found: list[float] = []
    while not found or sum(found) < seconds:
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return float(np.median(found))
