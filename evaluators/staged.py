"""Two evaluators as one: what candidates are searched by, and what the finalists are ranked and tested by.

A search asks for candidates' scores on the search split alone, and for finalists' on the others, so the split says
which of the two is meant. Pools, caches and journals need not know that there are two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluators.task import BatchEvaluator, Evaluator, Fidelity, GpuEvaluator, Score, Split, Task
from topologies.stack import AnyTopology


class Staged:
    """Scores by ``search`` on the search split, and by ``final`` on the validation and test splits.

    Made by :func:`staged`, which adds what either of the two can do besides.
    """

    def __init__(self, search: Evaluator, final: Evaluator) -> None:
        self.search, self.final = search, final

    def of(self, split: Split) -> Evaluator:
        """The evaluator that scores on a split."""
        return self.search if split is Split.SEARCH else self.final

    def evaluate(self, topology: AnyTopology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """The score by the split's evaluator; see :class:`evaluators.task.Evaluator`."""
        return self.of(split).evaluate(topology, fidelity, split, seed)


class BatchStaged(Staged):
    """One of the two is faster on many topologies at a time."""

    def evaluate_many(self, tasks: Sequence[Task]) -> list[Score]:
        """The scores of the tasks' own topologies, those of an evaluator that can do so together."""
        scores: dict[int, Score] = {}
        for evaluator in (self.search, self.final):
            places = [place for place, task in enumerate(tasks) if self.of(task.split) is evaluator]
            some = [tasks[place] for place in places]
            if isinstance(evaluator, BatchEvaluator):
                found = evaluator.evaluate_many(some) if some else []
            else:
                found = [evaluator.evaluate(one.topology, one.fidelity, one.split, one.seed) for one in some]
            scores |= dict(zip(places, found, strict=True))
        return [scores[place] for place in range(len(tasks))]


class GpuStaged(Staged):
    """One of the two can also work on a GPU."""

    def on_gpu(self) -> BatchStaged:
        """The same evaluators, those that can on the GPU of whatever process they are in."""
        parts = (one.on_gpu() if isinstance(one, GpuEvaluator) else one for one in (self.search, self.final))
        return BatchStaged(*parts)

    def gpu_trouble(self) -> str | None:
        """In one line why this process cannot use a GPU, or not to the same bits; None if it can."""
        found = (one.gpu_trouble() for one in (self.search, self.final) if isinstance(one, GpuEvaluator))
        return next((trouble for trouble in found if trouble is not None), None)


class EachPlace:
    """An evaluator of single topologies, for models with several places: the mean of its errors over the places.

    The learning rate and the weight decay are those that all places chose, where they chose the same.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def evaluate(self, topology: AnyTopology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """One error a target; see :class:`evaluators.task.Evaluator`."""
        scores = [self.evaluator.evaluate(place, fidelity, split, seed) for place in topology.places]
        errors = np.mean([score.errors for score in scores], axis=0)
        rates, decays = ({getattr(score, name) for score in scores} for name in ("learning_rate", "weight_decay"))
        return Score(errors, *(one.pop() if len(one) == 1 else None for one in (rates, decays)))


def staged(search: Evaluator, final: Evaluator) -> Staged:
    """Two evaluators as one, with all that they can do."""
    if isinstance(search, GpuEvaluator) or isinstance(final, GpuEvaluator):
        return GpuStaged(search, final)
    if isinstance(search, BatchEvaluator) or isinstance(final, BatchEvaluator):
        return BatchStaged(search, final)
    return Staged(search, final)
