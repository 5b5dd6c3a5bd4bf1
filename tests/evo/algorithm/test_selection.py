"""Selection against definitions written out: every pair compared, every cell counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.task import Score
from evo.algorithm.individual import Candidate, Individual
from evo.algorithm.selection import hypervolume, pareto_front, survivors, tournament
from topologies import Topology

quick = settings(max_examples=50, deadline=None)

Point = tuple[float, int]
points = st.lists(
    st.tuples(st.sampled_from([0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, float("inf")]), st.integers(1, 9)), max_size=14
)


def individual(number: int, point: Point, depth: int = 1) -> Individual:
    """Of an error, infinite for a failure, a number of edges in its last layer, and a depth."""
    error, n_edges = point
    masks = [*[np.ones((1, 1))] * (depth - 1), np.ones((1, n_edges))]
    candidate = Candidate(number, 0, Topology.from_masks(masks), (), "test", "test")
    return Individual(candidate, Score((error,)) if np.isfinite(error) else None)


def individuals(found: Sequence[Point]) -> list[Individual]:
    """Numbered in the order given."""
    return [individual(number, point) for number, point in enumerate(found)]


def point(one: Individual) -> Point:
    """Error and edges."""
    return one.error, one.topology.n_edges


def dominates(one: Point, other: Point) -> bool:
    """At least as good in both and better in one; a failure is worse than whatever did not fail."""
    if np.isinf(one[0]) or np.isinf(other[0]):
        return one[0] < other[0]
    return one[0] <= other[0] and one[1] <= other[1] and one != other


def ranks(found: Sequence[Point]) -> list[int]:
    """The non-domination rank of every point: fronts are peeled off one after the other."""
    rank, left, number = [-1] * len(found), set(range(len(found))), 0
    while left:
        peeled = {i for i in left if not any(dominates(found[j], found[i]) for j in left)}
        for i in peeled:
            rank[i] = number
        left -= peeled
        number += 1
    return rank


def measured(found: Sequence[Point]) -> list[Individual]:
    """Of all depths, with an error and, in the place of edges, which do not count, a measure."""
    return [
        replace(individual(number, (error, 1), depth=1 + number), measures=(float(measure),))
        for number, (error, measure) in enumerate(found)
    ]


@quick
@given(points, st.integers(1, 16))
def test_survivors_are_those_of_the_least_rank(found: list[Point], count: int) -> None:
    chosen = survivors(measured(found), count)
    numbers = [one.candidate.number for one in chosen]
    assert len(set(numbers)) == len(numbers) == min(count, len(found))
    rank = ranks(found)
    assert sorted(rank[number] for number in numbers) == sorted(rank)[: len(numbers)]


def test_of_a_front_that_does_not_fit_the_ends_and_the_loneliest_survive() -> None:
    line = [(0.1, 90), (0.5, 50), (0.51, 49), (0.52, 48), (0.9, 10)]
    by_loneliness = [{(0.1, 90), (0.9, 10)}, {(0.5, 50)}, {(0.52, 48)}, {(0.51, 49)}]  # 0.5 has 0.41 around it
    for count, last in ((2, 1), (3, 2), (4, 3), (5, 4)):
        chosen = {(one.error, int(one.measures[0])) for one in survivors(measured(line), count)}
        assert chosen == set().union(*by_loneliness[:last])


@quick
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 5)), max_size=30), st.integers(1, 16))
def test_the_least_errors_survive_but_of_one_depth_a_third_unless_nothing_else_is_left(
    found: list[tuple[int, int]], count: int
) -> None:
    everyone = [individual(number, (error / 8, 3), depth) for number, (error, depth) in enumerate(found)]
    in_order = sorted(everyone, key=lambda one: (one.error, one.candidate.number))
    first, rest = [], []
    for one in in_order:
        held = sum(other.topology.depth == one.topology.depth for other in first)
        (first if held < max(1, count // 3) else rest).append(one)
    assert [one.error for one in survivors(everyone, count)] == [one.error for one in [*first, *rest][:count]]


def test_a_failure_never_takes_the_place_of_what_could_be_scored_and_errors_however_large_are_compared() -> None:
    everyone = measured([(float("inf"), 1), (3e12, 9), (1e12, 9), (2e12, 9)])
    assert [one.error for one in survivors(everyone, 3)] == [1e12, 2e12, 3e12]


def test_nothing_survives_of_nothing() -> None:
    assert survivors([], 5) == ()


@quick
@given(points)
def test_the_front_is_what_nothing_dominates_and_of_equals_the_first_candidate(found: list[Point]) -> None:
    expected = [
        number
        for number, one in enumerate(found)
        if np.isfinite(one[0]) and not any(dominates(other, one) for other in found) and one not in found[:number]
    ]
    shuffled = np.random.default_rng(len(found)).permutation(len(found))
    everyone = individuals(found)
    assert [one.candidate.number for one in pareto_front([everyone[k] for k in shuffled])] == expected


@quick
@given(st.integers(1, 4), st.integers(1, 200), st.integers(2, 30), st.integers(0, 10**6))
def test_a_recipes_objectives_count_like_the_others(more: int, count: int, levels: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    error, n_edges, *measures = draw.integers(1, levels, (2 + more, count))
    infinite = draw.random((count, more)) < 0.1
    ones = [
        replace(individual(number, (error[number] / 8, int(n_edges[number]))), measures=tuple(map(float, measure)))
        for number, measure in enumerate(np.where(infinite, np.inf, np.transpose(measures) - levels // 2))
    ]
    values = np.array([(*point(one), *one.measures) for one in ones])
    no_worse = (values[:, None] <= values).all(axis=2)
    dominates_it = (no_worse & ~no_worse.T).any(axis=0)
    best = [
        number
        for number in range(count)
        if not dominates_it[number] and (values[:number] != values[number]).any(axis=1).all()
    ]
    assert [one.candidate.number for one in pareto_front(ones)] == best


def test_a_failure_or_a_score_that_is_not_a_number_never_wins() -> None:
    fine = individual(0, (0.9, 9))
    failed = [
        individual(1, (float("inf"), 1)),
        Individual(individual(2, (0.5, 1)).candidate, Score((float("nan"), 0.0))),
    ]
    assert pareto_front([fine, *failed]) == (fine,)
    assert pareto_front(failed) == ()
    assert hypervolume(failed, (1.0, 10.0)) == 0.0
    for seed in range(20):
        winner = tournament([fine, *failed], np.random.default_rng(seed))
        drawn = np.random.default_rng(seed).integers(3, size=3)
        assert (winner is fine) == (0 in drawn)


@quick
@given(points, st.integers(1, 12))
def test_hypervolume_counts_the_cells_that_are_dominated(found: list[Point], ceiling: int) -> None:
    counted = sum(
        any(error <= cell / 20 and n_edges <= edges for error, n_edges in found)
        for cell in range(20)  # errors from cell / 20 to (cell + 1) / 20
        for edges in range(ceiling)  # edges from this number to the next
    )
    assert hypervolume(individuals(found), (1.0, float(ceiling))) == pytest.approx(counted / (20 * ceiling))


def test_hypervolume_of_one_point_is_its_rectangle() -> None:
    assert hypervolume(individuals([(0.25, 4)]), (1.0, 10.0)) == pytest.approx(0.75 * 0.6)
    assert hypervolume(individuals([(0.25, 4)]), (0.5, 5.0)) == pytest.approx(0.5 * 0.2)
    assert hypervolume([], (1.0, 10.0)) == 0.0


def test_a_tournament_is_won_by_the_best_of_three_draws() -> None:
    population = individuals([(0.4, 1), (0.1, 9), (0.3, 2), (0.2, 2)])
    generator, rounds = np.random.default_rng(1), 4000
    wins = np.bincount([tournament(population, generator).candidate.number for _ in range(rounds)], minlength=4)
    worse = np.array([0, 3, 1, 2])  # how many of the others are worse
    expected = ((worse + 1) ** 3 - worse**3) / 4**3
    np.testing.assert_allclose(wins / rounds, expected, atol=4 * np.sqrt(0.25 / rounds))


def test_of_equals_in_a_tournament_the_first_candidate_wins() -> None:
    twins = individuals([(0.3, 5), (0.3, 1)])
    for order in (twins, twins[::-1]):
        for seed in range(20):
            drawn = np.random.default_rng(seed).integers(2, size=3)
            expected = twins[0] if any(order[k] is twins[0] for k in drawn) else twins[1]
            assert tournament(order, np.random.default_rng(seed)) is expected
