"""The first topologies: the user's own first, then the best of each family, all of them exactly on budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluators.task import Score
from evo.algorithm.individual import SAMPLED, InitialMember
from evo.experiment.initial_population import FAMILIES, OWN, PER_FAMILY, initial_population
from evo.experiment.tune import Trial
from evo.storage.header import named_topologies
from evo.storage.names import LAW, OF_SPACE
from evo.variation.bounds import Bounds
from tests.fakes import recipe
from topologies import Topology, butterfly, clos
from topologies.canonical import canonical
from topologies.expression import parse
from topologies.families import members

BOUNDS = Bounds(budget=60, max_depth=6, max_width=24, max_edges=140)


def trials(family: str, budget: int = 60) -> tuple[Trial, ...]:
    """All members of a family on 8 x 8, best first; the score is the number of constants."""
    made = [Trial(n, one.expression, canonical(one.topology())) for n, one in enumerate(members(family, 8, 8, budget))]
    scored = [Trial(one.number, one.expression, one.topology, Score((one.topology.n_constant / 100,))) for one in made]
    return tuple(sorted(scored, key=lambda one: (one.error, one.number)))


TUNED = {family: trials(family) for family in (*FAMILIES, "torus") if family not in OF_SPACE}


def those(names: list[str]) -> dict[str, Topology]:
    """The topologies that a recipe of 8 x 8 names for its initial population."""
    return named_topologies(recipe(budget=60, initial_population=names))


def begun(
    tuned: Mapping[str, Sequence[Trial]], own: Mapping[str, Topology], bounds: Bounds = BOUNDS, seed: int = 1
) -> tuple[InitialMember, ...]:
    """The initial population of a search of 8 x 8."""
    return initial_population(tuned, own, bounds, 8, 8, seed)


def starts_like(filled: Topology, topology: Topology) -> bool:
    """Whether ``filled`` has the shape of ``topology`` and no constant more or less (neurons may be renumbered)."""
    return filled.widths == topology.widths and filled.n_constant == topology.n_constant


def test_every_member_is_admitted_and_none_comes_twice() -> None:
    found = begun(TUNED, those(["butterfly(8, 3)", "clos(8, 2, 3, 2)"]))
    assert len(found) > 12
    for one in found:
        assert BOUNDS.admits(one.topology)
        assert one.topology.n_trainable == 60
        assert one.topology == canonical(one.topology)
    assert len({one.topology.digest for one in found}) == len(found)


def test_the_users_own_come_first_and_then_the_families_in_their_order() -> None:
    own = ["clos(8, 2, 3, 2)", "random_regular(8, 8, 9, 3, 3)", "butterfly(8, 3)"]
    found = begun(TUNED, those(own))
    families = [one.family for one in found]
    assert families[:3] == ["own"] * 3
    assert families[3:] == sorted(families[3:], key=[*FAMILIES, LAW].index)
    assert set(families[3:]) == {*FAMILIES, LAW} - set(OF_SPACE)
    assert all(families.count(family) <= PER_FAMILY for family in FAMILIES)
    for one, expression in zip(found, own, strict=False):
        assert starts_like(one.topology, parse(expression))


def test_of_a_family_the_best_few_that_are_within_the_bounds_and_have_room_are_taken() -> None:
    tight = Bounds(budget=60, max_depth=6, max_width=8, max_edges=90)
    found = begun({"clos": TUNED["clos"]}, {}, tight)
    narrow = [one.topology for one in TUNED["clos"] if max(one.topology.widths[1:-1]) <= 8]
    roomy = [one for one in narrow if sum(mask.size for mask in one.masks()) - one.n_constant >= 60]
    assert len(TUNED["clos"]) > len(narrow) > len(roomy) > PER_FAMILY
    assert narrow[:PER_FAMILY] != roomy[:PER_FAMILY]
    for member, topology in zip(found, roomy[:PER_FAMILY], strict=True):
        assert starts_like(member.topology, topology)


def test_no_edges_are_taken_from_a_member_that_has_too_many() -> None:
    fitting, heavy = clos(8, 2, 3, 2), butterfly(8, 6)
    bounds = Bounds(budget=heavy.n_trainable, max_depth=6, max_width=8, max_edges=heavy.n_edges - 1)
    tuned = {"butterfly": [Trial(0, "", heavy, Score((0.1,)))], "clos": [Trial(0, "", fitting, Score((0.2,)))]}
    (found,) = begun(tuned, {}, bounds)
    assert (found.family, found.topology.widths) == ("clos", fitting.widths)


def test_a_topology_with_the_budget_is_taken_as_it_is_and_one_below_is_filled_up() -> None:
    whole = clos(8, 2, 3, 2)
    bounds = Bounds(whole.n_trainable, 3, 8, 100)
    (kept,) = begun({}, those(["clos(8, 2, 3, 2)"]), bounds)
    assert kept.topology == canonical(whole)
    (filled,) = begun({}, those(["butterfly(8, 3)"]), bounds)
    assert filled.topology.n_trainable == whole.n_trainable > butterfly(8, 3).n_trainable
    assert filled.topology.n_constant == butterfly(8, 3).n_constant


def test_the_initial_population_is_a_function_of_the_seed() -> None:
    one, same, other = (begun(TUNED, those(["butterfly(8, 3)"]), seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert [each.topology for each in one] != [each.topology for each in other]
    assert [each.family for each in one] == [each.family for each in other]


def test_files_and_the_champions_of_runs_can_be_in_the_initial_population(tmp_path: Path) -> None:
    topology = clos(8, 2, 3, 2)
    file = topology.save(tmp_path / "champion.safetensors")
    bounds = Bounds(topology.n_trainable, 3, 8, 100)
    for name in (file, tmp_path):
        (found,) = begun({}, those([str(name)]), bounds)
        assert found.topology == canonical(topology)


@pytest.mark.parametrize(
    "own",
    [
        "dense(8, 8, skip=False)",  # trainable edges
        "butterfly(8, 7)",  # depth
        "random_regular(8, 8, 25, 2, 2)",  # width
        "parallel_butterfly(8, 2, 6, skip=False)",  # edges
        "low_rank(8, 8, 1)",  # no room for more
    ],
)
def test_one_of_the_users_own_that_does_not_fit_is_named_with_what_is_wanted(own: str) -> None:
    with pytest.raises(ValueError, match="does not fit: it cannot become a connected topology of ") as caught:
        begun(TUNED, those(["butterfly(8, 3)", own]))
    assert str(caught.value).startswith(f"initial_population: {own!r} (Topology(8-")
    assert str(caught.value).endswith("60 trainable edges, depth <= 6, hidden width <= 24, edges <= 140")


@pytest.mark.parametrize("own", ["butterfly(16, 4)", "clos(8, 2, 3, 2, 6)"])
def test_one_of_another_size_is_refused(own: str) -> None:
    with pytest.raises(ValueError, match=r"is .* x .*, the recipe 8 x 8"):
        those([own])


def test_where_nothing_can_be_begun_with_the_words_say_what_the_bounds_are() -> None:
    impossible = Bounds(budget=60, max_depth=1, max_width=24, max_edges=60)
    words = (
        "no topology to begin with is within the bounds: "
        "60 trainable edges, depth <= 1, hidden width <= 24, edges <= 60; raise a bound or change the budget"
    )
    with pytest.raises(ValueError, match=words):
        begun(TUNED, {}, impossible)


def test_where_no_family_has_a_member_that_fits_topologies_are_sampled() -> None:
    flat = replace(BOUNDS, max_depth=4)  # the law's are deeper
    found = begun({}, {}, flat)
    assert 1 <= len(found) <= PER_FAMILY
    assert {one.family for one in found} == {SAMPLED}
    assert all(flat.admits(one.topology) and one.topology == canonical(one.topology) for one in found)
    assert found == begun({"clos": ()}, {}, flat) != begun({}, {}, flat, seed=2)
    (own,) = begun({}, those(["butterfly(8, 3)"]), flat)
    assert own.family == OWN, "nothing is sampled beside the user's own"


def test_rectangles_and_primes_have_an_initial_population_too() -> None:
    for n_in, n_out, budget in ((8, 12, 70), (7, 7, 40), (11, 5, 44)):
        bounds = Bounds(budget, 5, 2 * max(n_in, n_out), 3 * budget)
        tuned = {
            family: [
                Trial(number, one.expression, canonical(one.topology()), Score((0.5,)))
                for number, one in enumerate(members(family, n_in, n_out, budget))
            ]
            for family in FAMILIES
            if family not in OF_SPACE
        }
        found = initial_population(tuned, {}, bounds, n_in, n_out, 1)
        assert len(found) >= 5
        assert all((one.topology.n_in, one.topology.n_out) == (n_in, n_out) for one in found)
        assert all(bounds.admits(one.topology) for one in found)
        np.testing.assert_array_equal([one.topology.n_trainable for one in found], budget)
