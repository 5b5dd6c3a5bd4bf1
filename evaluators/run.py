"""Evaluation of tasks, races included, and the evaluation by which a worker proves itself.

A pool hands tasks to :func:`run` wherever it is, and knows nothing of what happens there.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from evaluators import task as task_module
from evaluators.proxies.registry import measure
from evaluators.staged import Staged
from evaluators.task import (
    Answer,
    BatchEvaluator,
    BrokenDeviceError,
    Evaluator,
    Fidelity,
    IdentifiedEvaluator,
    Outcome,
    ProvingEvaluator,
    Score,
    SlowEvaluator,
    Split,
    Task,
    VariedEvaluator,
)
from topologies.families.blocks import low_rank
from topologies.stack import Sizes, stacked

PASSED_ON = (MemoryError, BrokenDeviceError)
"""What is raised for a task but says nothing of it: somewhere else it may be evaluated."""


def run(evaluator: Evaluator, tasks: Sequence[Task], device: str) -> list[Outcome]:
    """Evaluate tasks here and now, their races included.

    What is raised for a task becomes its failure, in words, except what is in :data:`PASSED_ON`. The seconds of an
    outcome are its share of the whole.
    """
    start = time.perf_counter()
    plain = [replace(task, race=None) for task in tasks]
    measured = [_measured(task) for task in plain]
    first = _scores(evaluator, plain)
    promoted = {}
    for place, (task, score) in enumerate(zip(tasks, first, strict=True)):
        if task.race is not None and isinstance(score, Score) and task.race.promotes(score):
            fidelity = task.fidelity.promoted(task.race.targets, score)
            promoted[place] = replace(plain[place], fidelity=fidelity)
    last = dict(zip(promoted, _scores(evaluator, list(promoted.values())), strict=True))
    seconds = (time.perf_counter() - start) / max(len(tasks), 1)
    outcomes = []
    for place, (task, measures) in enumerate(zip(tasks, measured, strict=True)):
        entry = first[place]
        found = measures if isinstance(measures, str) else last.get(place, entry)
        answer = Answer(
            score=found if isinstance(found, Score) else None,
            failure=None if isinstance(found, Score) else found,
            entry=entry if place in last and isinstance(entry, Score) else None,
            measures=_noted(plain[place]) | ({} if isinstance(measures, str) else measures),
        )
        outcomes.append(Outcome(number=task.number, answer=answer, seconds=seconds, device=device))
    return outcomes


def _measured(task: Task) -> dict[str, float] | str:
    """The proxies that are wanted of a task's own topology, or in words why they cannot be had."""
    try:
        return {name: measure(name, task.topology) for name in task.measures}
    except PASSED_ON:
        raise
    except Exception as error:
        return words(error)


def _noted(task: Task) -> dict[str, float]:
    """The proxies that are to be noted of a task's own topology, without those that cannot be found, as for want of
    memory.
    """
    found = {}
    for name in task.noted:
        with suppress(Exception):
            found[name] = measure(name, task.topology)
    return found


def _scores(evaluator: Evaluator, tasks: Sequence[Task]) -> list[Score | str]:
    """The score of each task's own topology, or in words why there is none."""
    if len(tasks) > 1 and isinstance(evaluator, BatchEvaluator):
        with suppress(Exception, SystemExit):  # whose fault it is shows when they go one by one
            scores = evaluator.evaluate_many(tasks)
            if len(scores) == len(tasks):
                return [_checked(score, task) for score, task in zip(scores, tasks, strict=True)]
    return [_score(evaluator, task) for task in tasks]


def _score(evaluator: Evaluator, task: Task) -> Score | str:
    try:
        judge = evaluator
        if task.variant:
            if not isinstance(evaluator, VariedEvaluator):
                raise TypeError(f"the evaluator makes one kind of model, not {task.variant!r}")
            judge = evaluator.variant(task.variant)
        return _checked(judge.evaluate(task.topology, task.fidelity, task.split, task.seed), task)
    except PASSED_ON:
        raise
    except (Exception, SystemExit) as error:
        return words(error) + _where(error)


def _checked(score: object, task: Task) -> Score:
    """What an evaluator returned, if it is a score with an error for every target.

    Raises
    ------
    TypeError, ValueError
        When it is not.
    """
    if not isinstance(score, Score):
        raise TypeError(f"the evaluator returned {type(score).__name__}, not a Score")
    if len(score.errors) != task.fidelity.targets:
        raise ValueError(
            f"the evaluator returned a Score with {len(score.errors)} errors for {task.fidelity.targets} targets: "
            "one error a target is wanted, so len(errors) == fidelity.targets"
        )
    return score


_OURS = (__file__, task_module.__file__, "<string>")
"""Files of ours that an error passes through on its way here; the last is where dataclasses have their code."""


def _where(error: BaseException) -> str:
    """Where in the evaluator's own code an error was raised, if it was raised there."""
    frames = traceback.extract_tb(error.__traceback__)
    outside = [frame for frame in frames if frame.filename not in _OURS]
    return f" ({Path(outside[-1].filename).name}, line {outside[-1].lineno})" if outside else ""


def words(error: BaseException) -> str:
    """An error in one line: its type and what it says."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def proof(n_in: int, n_out: int, evaluator: Evaluator | None = None) -> Task:
    """A small evaluation of a size, by which a worker shows that it computes as the others do."""
    return proof_at(((n_in, n_out),), evaluator)


def proof_at(sizes: Sizes, evaluator: Evaluator | None = None) -> Task:
    """The same, of a model with places of these sizes."""
    fidelity = Fidelity(targets=1, steps=_proof_steps(evaluator), rates=(0.1,))
    topology = stacked(low_rank(*size, 1) for size in sizes).canonical
    return Task(topology=topology, fidelity=fidelity, split=Split.SEARCH, seed=0)


def _proof_steps(evaluator: Evaluator | None) -> int:
    return evaluator.proof_steps if isinstance(evaluator, SlowEvaluator) else 5


def canary(evaluator: Evaluator, task: Task) -> str:
    """What comes of a small evaluation, to the last bit: the score or the evaluator's own proof, or how it failed.

    What a failure says may differ between processes, which have other addresses and folders. Evaluators that score by
    something of the user's say by what, because small evaluations on different data may well end alike. Of two
    evaluators that are staged, both make one.
    """
    if isinstance(evaluator, Staged):
        told = []
        for split in (Split.SEARCH, Split.VALIDATION):
            part = evaluator.of(split)
            fidelity = replace(task.fidelity, steps=_proof_steps(part))
            told.append(canary(part, replace(task, fidelity=fidelity, split=split)))
        return ", then ".join(told)
    if isinstance(evaluator, ProvingEvaluator):
        try:
            found = evaluator.proof(task.topology, task.fidelity, task.split, task.seed)
        except PASSED_ON:
            raise
        except (Exception, SystemExit) as error:  # whatever may be wrong with data and models of the user's
            found = type(error).__name__
    else:
        answer = run(evaluator, [task], "")[0].answer
        found = repr(answer.score) if answer.score else f"{answer.failure}".partition(":")[0]
    return f"{found} by {evaluator.identity}" if isinstance(evaluator, IdentifiedEvaluator) else found
