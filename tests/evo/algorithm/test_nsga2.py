"""The state machine: what it breeds, what it learns, and that nothing but scores and seed decides either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import evo.algorithm.nsga2
from evaluators.task import Fidelity, Score, Split
from evo.algorithm.individual import INITIAL, SAMPLED, Candidate, Individual, InitialMember
from evo.algorithm.nsga2 import Policy, Rules, State, ask, promotion_threshold, sample_share, tell, within
from evo.experiment.initial_population import initial_population
from evo.variation.bounds import Bounds
from tests.fakes import HashEvaluator
from topologies import Topology
from topologies.expression import parse

OWN = ("butterfly(8, 4)", "clos(8, 2, 3, 2)", "random_regular(8, 8, 8, 3, 3)", "parallel_butterfly(8, 1, 3)")
BOUNDS = Bounds(budget=48, max_depth=6, max_width=16, max_edges=110)
INITIAL_POPULATION = initial_population({}, {name: parse(name) for name in OWN}, BOUNDS, 8, 8, seed=1)
RULES = Rules(
    policy=Policy.EVOLUTION,
    n_in=8,
    n_out=8,
    bounds=BOUNDS,
    offspring=7,
    population=6,
    elite=3,
    limits=(100, 4),
    initial_population=INITIAL_POPULATION,
    seed=1,
)
RANDOM = replace(RULES, policy=Policy.RANDOM)
policies = pytest.mark.parametrize("rules", [RULES, RANDOM], ids=["evolution", "random"])

Scorer = Callable[[Topology], Score | None]


def by_digest(topology: Topology) -> Score | None:
    """A score that looks random, none for one topology in eight."""
    if int(topology.digest, 16) % 8 == 0:
        return None
    return HashEvaluator().evaluate(topology, Fidelity(2, 1, (0.1,)), Split.SEARCH, 1)


def shallow_is_good(topology: Topology) -> Score | None:
    """The depth alone."""
    return Score((topology.depth / 10,))


def drive(
    rules: Rules, generations: int, lag: int = 1, score: Scorer = by_digest
) -> tuple[list[list[Individual]], list[State]]:
    """What was told, generation by generation, and the state after each.

    Generation k + lag is bred when generation k has been told.
    """
    state = State()
    waiting: list[tuple[Candidate, ...]] = []
    told: list[list[Individual]] = []
    states: list[State] = []
    for k in range(min(lag, generations)):
        state, candidates = ask(state, rules, k)
        waiting.append(candidates)
    for k in range(generations):
        told.append([Individual(candidate, score(candidate.topology)) for candidate in waiting.pop(0)])
        state = tell(state, rules, told[-1])
        states.append(state)
        if k + lag < generations:
            state, candidates = ask(state, rules, k + lag)
            waiting.append(candidates)
    return told, states


def everyone(generations: list[list[Individual]]) -> list[Individual]:
    """All of them in the order of breeding."""
    return [one for generation in generations for one in generation]


def test_generation_0_is_the_initial_population() -> None:
    _, candidates = ask(State(), RULES, 0)
    assert [candidate.topology for candidate in candidates] == [member.topology for member in INITIAL_POPULATION]
    assert [
        (candidate.number, candidate.generation, candidate.parents, candidate.operator) for candidate in candidates
    ] == [(number, 0, (), INITIAL) for number in range(len(INITIAL_POPULATION))]


def test_generation_0_of_random_search_is_a_sample_of_as_many() -> None:
    _, candidates = ask(State(), RANDOM, 0)
    assert len(candidates) == len(INITIAL_POPULATION)
    assert {(candidate.operator, candidate.family, candidate.parents) for candidate in candidates} == {
        (SAMPLED, SAMPLED, ())
    }
    assert not {candidate.topology.digest for candidate in candidates} & {
        member.topology.digest for member in INITIAL_POPULATION
    }


@policies
@pytest.mark.parametrize("lag", [1, 2, 3])
def test_candidates_are_numbered_in_a_row_and_no_topology_is_bred_twice(rules: Rules, lag: int) -> None:
    told = everyone(drive(rules, 6, lag)[0])
    assert [one.candidate.number for one in told] == list(range(len(INITIAL_POPULATION) + 5 * RULES.offspring))
    assert [one.candidate.generation for one in told] == [0] * len(INITIAL_POPULATION) + list(
        np.repeat(range(1, 6), RULES.offspring)
    )
    assert len({one.topology.digest for one in told}) == len(told)


@policies
def test_every_candidate_is_within_the_bounds(rules: Rules) -> None:
    assert all(BOUNDS.admits(one.topology) for one in everyone(drive(rules, 6)[0]))


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_parents_are_candidates_that_were_told_before(lag: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evo.algorithm.nsga2, "EARLY", 1)
    told = everyone(drive(RULES, 8, lag)[0])
    for one in told:
        parents = [told[number].candidate for number in one.candidate.parents]
        assert all(parent.generation <= one.candidate.generation - lag for parent in parents)
        if parents:
            assert one.candidate.family == parents[0].family
        else:
            assert one.candidate.operator in (INITIAL, SAMPLED)
    late = [one.candidate for one in told if one.candidate.generation >= lag + 1]
    assert sum(candidate.operator == SAMPLED for candidate in late) < len(late) / 4
    assert len({candidate.operator for candidate in late}) > 4
    assert {candidate.operator for candidate in late if len(candidate.parents) == 2} == {"crossover"}


@policies
@pytest.mark.parametrize("lag", [1, 2, 3])
def test_a_longer_search_begins_like_a_shorter_one(rules: Rules, lag: int) -> None:
    long = everyone(drive(rules, 7, lag)[0])
    for generations in (1, 2, 4):
        short = everyone(drive(rules, generations, lag)[0])
        assert short == long[: len(short)]


@policies
def test_breeding_and_telling_change_nothing_that_they_are_given(rules: Rules) -> None:
    told, states = drive(rules, 3)
    before = replace(states[-1])
    first, again = ask(states[-1], rules, 3), ask(states[-1], rules, 3)
    assert first == again
    assert states[-1] == before
    assert tell(states[0], rules, told[1]) == tell(states[0], rules, told[1])


def test_another_seed_breeds_others() -> None:
    one, other = (everyone(drive(replace(RANDOM, seed=seed), 2)[0]) for seed in (1, 2))
    shared = {candidate.topology.digest for candidate in one} & {candidate.topology.digest for candidate in other}
    assert len(shared) < len(one) / 4  # small topologies are met by chance


def test_random_search_learns_nothing_and_evolution_does() -> None:
    for rules, learns in ((RANDOM, False), (RULES, True)):
        one, other = everyone(drive(rules, 5)[0]), everyone(drive(rules, 5, score=shallow_is_good)[0])
        assert ([each.candidate for each in one] != [each.candidate for each in other]) == learns


def test_evolution_follows_what_it_is_told() -> None:
    def few_edges(topology: Topology) -> Score:
        return Score((topology.n_edges / 200,))

    evolved, sampled = (everyone(drive(rules, 10, score=few_edges)[0]) for rules in (RULES, RANDOM))
    late_mean = [np.mean([one.topology.n_edges for one in told[-30:]]) for told in (evolved, sampled)]
    assert late_mean[0] < late_mean[1] - 3


def test_a_search_begins_with_many_samples_and_ends_with_few() -> None:
    shares = [sample_share(born) for born in range(0, 2000, 10)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 0.8 and shares[-1] == pytest.approx(0.05, abs=1e-3)
    told = everyone(drive(replace(RULES, offspring=40), 12)[0])
    sampled = [one.candidate.operator == SAMPLED for one in told[len(INITIAL_POPULATION) :]]
    assert sum(sampled[:40]) > 24 > 8 > sum(sampled[-40:])


def test_operators_whose_offspring_enter_the_population_are_tried_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evo.algorithm.nsga2, "EARLY", 1)

    def deeper(topology: Topology) -> Score:
        return Score((1 / topology.depth,))

    roomy = replace(RULES, bounds=replace(BOUNDS, max_depth=16, max_edges=300), offspring=20)
    told = everyone(drive(roomy, 12, score=deeper)[0])
    inserted = [one.candidate.operator == "insert_layer" for one in told if one.candidate.parents]
    assert sum(inserted[-100:]) > sum(inserted[:100])


@policies
def test_front_and_elite_are_those_of_everything_told(rules: Rules) -> None:
    told, states = drive(rules, 6)
    for k, state in enumerate(states):
        known = [one for one in everyone(told[: k + 1]) if one.score is not None]
        points = {one: (one.error, one.topology.n_edges) for one in known}
        assert list(state.front) == [
            one
            for one, (error, n_edges) in points.items()
            if not any(e <= error and n <= n_edges and (e, n) != (error, n_edges) for e, n in points.values())
        ]
        allowed = [one for one in known if one.topology.n_edges <= 100 and one.topology.depth <= 4]
        assert list(state.elite) == sorted(allowed, key=lambda one: one.error)[: RULES.elite]
        assert len(state.population) == min(RULES.population, len(everyone(told[: k + 1])))
        assert min(known, key=lambda one: one.error) in state.population


def test_what_failed_is_never_of_the_elite_and_is_never_bred_again() -> None:
    told, states = drive(RULES, 6)
    failed = {one.topology.digest for one in everyone(told) if one.score is None}
    assert failed
    final = states[-1]
    assert not failed & {one.topology.digest for one in (*final.front, *final.elite)}
    assert failed <= final.bred


def test_a_search_goes_on_where_all_evaluations_fail() -> None:
    told, states = drive(RULES, 4, score=lambda topology: None)
    assert len(everyone(told)) == len(INITIAL_POPULATION) + 3 * RULES.offspring
    assert states[-1].front == states[-1].elite == ()


@policies
def test_a_generation_is_empty_where_nothing_new_is_to_be_found(rules: Rules) -> None:
    dense_only = Bounds(budget=16, max_depth=1, max_width=4, max_edges=16)
    only = (InitialMember("own", parse("dense(4, 4, skip=False)").canonical),)
    narrow = replace(rules, n_in=4, n_out=4, bounds=dense_only, initial_population=only)
    told, states = drive(narrow, 3)
    assert [len(generation) for generation in told] == [1, 0, 0]
    assert len(states[-1].population) == 1


def test_a_search_without_any_candidate_ends_quietly() -> None:
    impossible = Bounds(budget=20, max_depth=1, max_width=5, max_edges=25)
    told, states = drive(replace(RANDOM, n_in=5, n_out=5, bounds=impossible), 3)
    assert everyone(told) == []
    assert states[-1].population == states[-1].front == states[-1].elite == ()


def test_the_threshold_of_promotion_is_the_last_error_of_the_elite_once_it_is_full() -> None:
    told, states = drive(RULES, 6)
    assert promotion_threshold(State(), RULES, 2) is None
    few = replace(states[-1], elite=states[-1].elite[:2])
    assert promotion_threshold(few, RULES, 2) is None
    allowed = [one.error for one in everyone(told) if one.topology.n_edges <= 100 and one.topology.depth <= 4]
    assert promotion_threshold(states[-1], RULES, 2) == sorted(allowed)[2]


def test_the_threshold_is_about_the_targets_on_which_candidates_are_judged() -> None:
    elite = [
        Individual(Candidate(number, 0, INITIAL_POPULATION[0].topology, (), INITIAL, "own"), Score((0.2, 0.4, error)))
        for number, error in enumerate((0.9, 1.2, 1.5))
    ]
    full = replace(State(), elite=tuple(elite))
    assert promotion_threshold(full, RULES, 3) == pytest.approx(0.7)
    assert promotion_threshold(full, RULES, 2) == pytest.approx(0.7 - (0.6 - 0.3))


def test_limits_are_edges_and_depth() -> None:
    topology = INITIAL_POPULATION[0].topology  # a butterfly of depth 4
    edges = topology.n_edges
    assert within(topology, (edges, 4))
    assert not within(topology, (edges - 1, 4))
    assert not within(topology, (edges, 3))
