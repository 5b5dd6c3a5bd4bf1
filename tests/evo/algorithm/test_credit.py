"""Operators are tried by how well they have done: more often, less often, and never not at all."""

from __future__ import annotations

import numpy as np

from evo.algorithm.credit import LEAST, MOST, Credits, credited, success
from evo.algorithm.individual import SAMPLED, Candidate, Individual
from evo.variation import mutate
from evo.variation.bounds import Bounds
from topologies import butterfly

TOPOLOGY = butterfly(8, 4)


def offspring(number: int, operator: str) -> Individual:
    """A child of candidate 0 by an operator."""
    parents = () if operator == SAMPLED else (0,)
    return Individual(Candidate(number, 1, TOPOLOGY, parents, operator, "butterfly"), None)


def after(generations: int, entering: dict[str, bool]) -> Credits:
    """The credits after so many generations of one child of each operator, of which some enter the population."""
    known: Credits = ()
    for _ in range(generations):
        told = [offspring(number, operator) for number, operator in enumerate(entering)]
        known = credited(known, told, [one for one in told if entering[one.candidate.operator]])
    return known


def test_before_anything_is_known_all_are_alike() -> None:
    assert success(()) == success(after(3, {"rewire": False, "swap": False})) == {}


def test_what_enters_the_population_is_tried_more_often_within_limits() -> None:
    found = success(after(200, {"good": True, "bad": False, "worse": False, "worst": False, "none": False}))
    assert found["good"] == MOST
    assert found["bad"] == found["none"] == LEAST


def test_operators_that_do_equally_well_are_tried_as_their_weights_say() -> None:
    assert all(abs(one - 1) < 0.02 for one in success(after(50, {"rewire": True, "swap": True})).values())


def test_samples_which_have_no_parent_get_no_credit() -> None:
    assert [one.operator for one in after(3, {"rewire": True, SAMPLED: True})] == ["rewire"]


def test_what_was_long_ago_is_forgotten() -> None:
    known = after(100, {"early": True, "late": False})
    for _ in range(600):
        told = [offspring(0, "early"), offspring(1, "late")]
        known = credited(known, told, told[1:])
    found = success(known)
    assert found["early"] < 0.5 < 1.5 < found["late"]


def test_success_decides_how_often_an_operator_is_tried() -> None:
    bounds = Bounds(budget=TOPOLOGY.n_trainable, max_depth=6, max_width=16, max_edges=2 * TOPOLOGY.n_edges)

    def share(success: dict[str, float]) -> float:
        keys = (np.random.default_rng(number) for number in range(60))
        found = [mutate(TOPOLOGY, bounds, key, None, success) for key in keys]
        return float(np.mean([one is not None and one[0] == "rewire" for one in found]))

    assert share({"rewire": 30.0}) > 2 * share({}) > 4 * share({"rewire": 0.01})
