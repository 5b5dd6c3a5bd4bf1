"""What every evaluator and every proxy promises, whatever topology it is given."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings

from evaluators import (
    ConstraintMatching,
    Controllability,
    Data,
    Evaluator,
    Fidelity,
    MatrixReconstruction,
    Score,
    Split,
    TangentRank,
    TrainedAccuracy,
)
from evaluators.controllability.exact import greatest_total
from evaluators.controllability.flow import flow_bound
from evaluators.function import Function
from evaluators.proxies.capacity import Capacity
from evaluators.proxies.graph_measures import paths, requirements, spectral_gap
from evaluators.proxies.registry import PROXIES, measure
from evaluators.reconstruction.l0 import l0_count
from evaluators.task import BatchEvaluator
from evaluators.testing import FIDELITY, ODD, USUAL, check_batches, check_evaluator
from tests.evaluators.random_topologies import topologies
from topologies import Topology, dense
from topologies.canonical import renumber


class TrainedOnAnySize:
    """:class:`evaluators.TrainedAccuracy` on data and with a hidden layer of the topology's own size."""

    def __init__(self, examples: int = 125) -> None:
        self.examples = examples

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """Of a model that has to predict a sum of the inputs."""
        x = np.random.default_rng(0).normal(size=(self.examples, topology.n_in))
        task = TrainedAccuracy(Data.of(x, x.sum(axis=1)), [topology.n_out])
        return task.evaluate(topology, fidelity, split, seed)


EVALUATORS: dict[str, Evaluator] = {
    "uniform control": Controllability("uniform"),
    "trained control": Controllability("trained", steps=4),
    "fair control": Controllability("fair", steps=4),
    "trained control, summed": Controllability("trained", by_pair=False, steps=4),
    "fair control, summed": Controllability("fair", by_pair=False, steps=4),
    "matching": ConstraintMatching(),
    "tangent rank": TangentRank(),
    "capacity": Capacity(),
    "reconstruction": MatrixReconstruction(),
    "training": TrainedOnAnySize(),
}

_Numbers = Callable[[Topology], tuple[float, ...]]


def _evaluated(name: str) -> _Numbers:
    return lambda topology: EVALUATORS[name].evaluate(topology, FIDELITY, Split.SEARCH, 3).errors


def _measured(name: str) -> _Numbers:
    return lambda topology: (measure(name, topology),)


SCORES: dict[str, _Numbers] = {
    **{f"evaluator: {name}": _evaluated(name) for name in EVALUATORS},
    **{f"proxy: {name}": _measured(name) for name in PROXIES},
    "requirements": lambda topology: astuple(requirements(topology)),
    "paths": lambda topology: astuple(paths(topology)),
    "spectral gap": lambda topology: (spectral_gap(topology),),
    "flow bound": lambda topology: (flow_bound(topology).total,),
    "greatest total": lambda topology: (greatest_total(topology).total,),
    "L0 count": lambda topology: tuple(l0_count(topology, targets=2, steps=2).count.tolist()),
}

DRAWS_WEIGHTS = {
    "evaluator: reconstruction",
    "evaluator: training",
    "evaluator: capacity",
    "proxy: effective_rank",
    "proxy: capacity",
    "L0 count",
}
"""They start from weights that are drawn edge by edge, and so see the numbering; searches keep to the canonical one."""

every_score = pytest.mark.parametrize("score", SCORES.values(), ids=SCORES.keys())
every_evaluator = pytest.mark.parametrize("evaluator", EVALUATORS.values(), ids=EVALUATORS.keys())
quick = settings(max_examples=10, deadline=None)


@every_score
def test_odd_topologies_have_finite_values(score: _Numbers) -> None:
    found = {name: score(topology) for name, topology in ODD.items()}
    assert {name: values for name, values in found.items() if not np.isfinite(values).all()} == {}


@every_score
@quick
@given(topologies(4))
def test_any_topology_has_finite_values(score: _Numbers, topology: Topology) -> None:
    assert np.isfinite(score(topology)).all()


@every_score
def test_the_bits_do_not_depend_on_what_went_before(score: _Numbers) -> None:
    together = [*USUAL, *ODD.values()]
    forth = [score(topology) for topology in together]
    back = [score(pickle.loads(pickle.dumps(topology))) for topology in reversed(together)]
    assert forth == back[::-1]


@pytest.mark.parametrize("name", sorted(SCORES.keys() - DRAWS_WEIGHTS))
def test_the_numbering_of_hidden_neurons_does_not_matter(name: str) -> None:
    draw = np.random.default_rng(0)
    for topology in [*USUAL, *ODD.values()]:
        other = renumber(topology, [draw.permutation(width) for width in topology.widths[1:-1]])
        assert SCORES[name](other) == pytest.approx(SCORES[name](topology), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", sorted(PROXIES.keys() - {"depth"}))
def test_a_topology_that_can_set_nothing_promises_least(name: str) -> None:
    edges = [0] if name == "bandwidth" else [0, 2]  # constants let information through
    for kind in edges:
        assert measure(name, Topology.from_masks([np.full((4, 3), kind)])) > measure(name, dense(4, 3))


@every_evaluator
def test_a_dense_layer_scores_better_than_none(evaluator: Evaluator) -> None:
    errors = [
        evaluator.evaluate(topology, FIDELITY, Split.SEARCH, 0).error
        for topology in (dense(4, 3), Topology.from_masks([np.zeros((4, 3), int)]))
    ]
    assert errors[0] < errors[1] == pytest.approx(1, abs=0.05 if isinstance(evaluator, TrainedOnAnySize) else 1e-6)


@every_evaluator
def test_it_keeps_the_contract(evaluator: Evaluator) -> None:
    check_evaluator(evaluator)


@pytest.mark.parametrize("name", [name for name, one in EVALUATORS.items() if isinstance(one, BatchEvaluator)])
def test_a_batch_has_the_bits_of_one_at_a_time(name: str) -> None:
    evaluator = EVALUATORS[name]
    assert isinstance(evaluator, BatchEvaluator)
    check_batches(evaluator, [*USUAL, *ODD.values()])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda topology, fidelity, split, seed: 0.5, "a float was returned, not a Score"),
        (lambda topology, fidelity, split, seed: Score([0.5] * 2), "2 errors for 3 targets"),
        (lambda topology, fidelity, split, seed: Score([float("nan")] * fidelity.targets), "not every error is"),
        (lambda topology, fidelity, split, seed: Score(np.random.rand(fidelity.targets)), "gave two scores"),
        (lambda topology, fidelity, split, seed: Score([0.5] * fidelity.targets), "it cannot be sent to a worker"),
    ],
)
def test_an_evaluator_that_breaks_the_contract_is_told_how(wrong: Function, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_evaluator(wrong)
