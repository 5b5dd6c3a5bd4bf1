"""What every evaluator promises, for whoever writes one.

>>> from evaluators import Capacity
>>> check_evaluator(Capacity())

A search takes an evaluator at its word: it computes anywhere, in any order, and takes up what was computed before.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluators.function import Function, as_evaluator
from evaluators.task import BatchEvaluator, Evaluator, Fidelity, Score, Split, Task
from topologies import butterfly, clos, dense, random_regular
from topologies.topology import Topology

FIDELITY = Fidelity(targets=2, steps=4, rates=(0.1,))

USUAL: tuple[Topology, ...] = (butterfly(8, 4), clos(6, 2, 2, 3), random_regular(8, 6, 10, 3, 3), dense(5, 4))
"""Topologies of several sizes and depths."""

_ODD_MASKS: dict[str, list[Any]] = {
    "one edge": [[[1]]],
    "one constant edge": [[[2]]],
    "one input": [np.ones((1, 4), int)],
    "one input through a layer": [[[1, 2, 1]], np.ones((3, 2), int)],
    "one output": [np.ones((5, 1), int)],
    "one hidden neuron": [np.ones((4, 1), int), np.ones((1, 3), int)],
    "no edges": [np.zeros((3, 2), int)],
    "no edges behind edges": [np.ones((3, 2), int), np.zeros((2, 3), int)],
    "all constant": [np.full((3, 3), 2), np.full((3, 2), 2)],
    "all trainable": [np.ones((4, 5), int), np.ones((5, 4), int)],
    "a layer without parameters": [np.ones((4, 4), int), np.full((4, 4), 2)],
    "a diagonal": [np.eye(4, dtype=int)],
    "two halves": [np.kron(np.eye(2, dtype=int), np.ones((2, 2), int))],
    "a path that ends": [[[1, 0], [1, 0]], [[0], [1]]],
    "an input without edges": [[[1, 2], [2, 1], [0, 0]]],
    "deep": [[[1, 2], [2, 1]]] * 40,
}

ODD = {name: Topology.from_masks(masks) for name, masks in _ODD_MASKS.items()}
"""Topologies at the limits of what there may be."""


def check_evaluator(
    evaluator: Evaluator | Function, topologies: Sequence[Topology] = USUAL, fidelity: Fidelity = FIDELITY
) -> None:
    """Check an evaluator on topologies that it can score, in some seconds or as long as that takes.

    Raises
    ------
    AssertionError
        Where it does not keep a promise.
    """
    judge = as_evaluator(evaluator)
    check_scores(judge, topologies, fidelity)
    check_repeatable(judge, topologies, fidelity)
    check_travels(judge, topologies, fidelity)
    if isinstance(judge, BatchEvaluator):
        check_batches(judge, topologies, fidelity)


def check_scores(evaluator: Evaluator, topologies: Sequence[Topology], fidelity: Fidelity = FIDELITY) -> None:
    """Check that there is one finite error for every target, however many there are."""
    for topology in topologies:
        for targets in (fidelity.targets, fidelity.targets + 1):
            score = evaluator.evaluate(topology, fidelity.promoted(targets), Split.SEARCH, 3)
            assert isinstance(score, Score), f"a {type(score).__name__} was returned, not a Score"
            assert len(score.errors) == targets, f"{len(score.errors)} errors for {targets} targets"
            assert np.isfinite(score.errors).all(), f"not every error is a finite number: {score.errors}"


def check_repeatable(evaluator: Evaluator, topologies: Sequence[Topology], fidelity: Fidelity = FIDELITY) -> None:
    """Check that equal arguments give equal bits, whatever was evaluated before."""
    forth = [evaluator.evaluate(topology, fidelity, Split.SEARCH, 3) for topology in topologies]
    copies = [pickle.loads(pickle.dumps(topology)) for topology in reversed(topologies)]
    back = [evaluator.evaluate(topology, fidelity, Split.SEARCH, 3) for topology in copies]
    assert forth == back[::-1], "equal arguments gave two scores: everything random has to be drawn from `seed`"


def check_travels(evaluator: Evaluator, topologies: Sequence[Topology], fidelity: Fidelity = FIDELITY) -> None:
    """Check that the evaluator can be sent to a worker, and scores the same there."""
    try:
        sent = pickle.loads(pickle.dumps(evaluator))
    except (pickle.PickleError, AttributeError, TypeError) as error:
        raise AssertionError(f"it cannot be sent to a worker: {error}; define it in a module") from error
    for topology in topologies:
        here, there = (one.evaluate(topology, fidelity, Split.VALIDATION, 1) for one in (evaluator, sent))
        assert here == there, "what was sent to another process scores otherwise"


def check_batches(evaluator: BatchEvaluator, topologies: Sequence[Topology], fidelity: Fidelity = FIDELITY) -> None:
    """Check that a batch has the bits of one at a time, sizes, depths and numbers of targets mixed."""
    tasks = [
        Task(
            number=number,
            topology=topology,
            fidelity=fidelity.promoted(1 + number % 3),
            split=Split.SEARCH,
            seed=number % 2,
        )
        for number, topology in enumerate([*topologies, *topologies])
    ]
    alone = [evaluator.evaluate(task.topology, task.fidelity, task.split, task.seed) for task in tasks]
    assert evaluator.evaluate_many(tasks) == alone, "a batch does not score as one at a time"
