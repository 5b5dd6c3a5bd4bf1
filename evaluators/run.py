"""Evaluation of tasks, screens and races included, and the evaluation by which a worker proves itself.

A pool hands tasks to :func:`run` wherever it is, and knows nothing of what happens there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from evaluators.proxies.registry import measure
from evaluators.task import BatchEvaluator, BrokenDeviceError, Evaluator, Fidelity, Outcome, Score, Stream, Task
from topologies.families.butterfly import butterfly

PASSED_ON = (MemoryError, BrokenDeviceError)
"""What is raised for a task but says nothing of it: somewhere else it may be evaluated."""


def run(evaluator: Evaluator, tasks: Sequence[Task], device: str) -> list[Outcome]:
    """Evaluate tasks here and now, their screens and races included.

    What is raised for a task becomes its failure, in words, except what is :data:`PASSED_ON`. The seconds of an
    outcome are its share of the whole.
    """
    start = time.perf_counter()
    screened = [_screened(task) for task in tasks]
    plain = [
        replace(task, topology=task.candidates[one.place], siblings=(), race=None)
        for task, one in zip(tasks, screened, strict=True)
    ]
    first = _scores(evaluator, plain)
    closer = {}
    for place, (task, score) in enumerate(zip(tasks, first, strict=True)):
        if task.race is not None and isinstance(score, Score) and score.error < task.race.bar:
            closer[place] = replace(plain[place], fidelity=task.fidelity.closer(task.race.targets, score.rate))
    last = dict(zip(closer, _scores(evaluator, list(closer.values())), strict=True))
    seconds = (time.perf_counter() - start) / max(len(tasks), 1)
    outcomes = []
    for place, (task, one) in enumerate(zip(tasks, screened, strict=True)):
        entry, found = first[place], one.trouble or last.get(place, first[place])
        result = found if isinstance(found, Score) else None
        failure = None if isinstance(found, Score) else found
        before = entry if place in last and isinstance(entry, Score) else None
        outcomes.append(Outcome(task.number, result, failure, seconds, device, one.place, before, one.measures))
    return outcomes


class _Screened(NamedTuple):
    """The place of the candidate that a screen prefers, its measures, and what went wrong, if something did."""

    place: int
    measures: dict[str, float]
    trouble: str | None = None


def _screened(task: Task) -> _Screened:
    """Of equals the first."""
    try:
        place, measures = 0, {}
        if task.screen is not None:
            promise = [measure(task.screen, candidate) for candidate in task.candidates]
            place = min(range(len(promise)), key=promise.__getitem__)
            measures[task.screen] = promise[place]
        for name in task.measures:
            measures[name] = measure(name, task.candidates[place])
    except PASSED_ON:
        raise
    except Exception as error:
        return _Screened(0, {}, _words(error))
    return _Screened(place, measures)


def _scores(evaluator: Evaluator, tasks: Sequence[Task]) -> list[Score | str]:
    """The score of each task's own topology, or in words why there is none."""
    if len(tasks) > 1 and isinstance(evaluator, BatchEvaluator):
        with suppress(Exception):  # whose fault it is shows when they go one by one
            scores = evaluator.evaluate_many(tasks)
            if len(scores) == len(tasks) and all(isinstance(score, Score) for score in scores):
                return list(scores)
    return [_score(evaluator, task) for task in tasks]


def _score(evaluator: Evaluator, task: Task) -> Score | str:
    try:
        score = evaluator.evaluate(task.topology, task.fidelity, task.stream, task.seed)
        if not isinstance(score, Score):
            raise TypeError(f"the evaluator returned {type(score).__name__}, not a Score")
        if not score.errors:
            raise ValueError("the evaluator returned a Score without errors")
    except PASSED_ON:
        raise
    except Exception as error:
        return _words(error)
    return score


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def canary(evaluator: Evaluator) -> str:
    """What comes of one small evaluation, to the last bit: by this a worker shows that it computes as the others do."""
    task = Task(0, butterfly(4, 3), Fidelity(targets=2, steps=5, rates=(0.1,)), Stream.SEARCH, seed=0)
    outcome = run(evaluator, [task], "")[0]
    return repr(outcome.score) if outcome.score else f"{outcome.failure}"
