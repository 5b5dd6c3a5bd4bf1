"""What every family in the registry promises; a new family is tested by being listed there."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evaluators import Fidelity, MatrixReconstruction, Split
from topologies import SparseCascade, Topology, load
from topologies.expression import parse, read, render
from topologies.families import FAMILIES, Family, Member, fits, members
from topologies.masks import load_masks, save_masks
from topologies.reach import step
from topologies.testing.family import check_description, check_family

SIZES = [(2, 2), (3, 3), (8, 8), (12, 12), (7, 7), (6, 10), (10, 6), (2, 9), (9, 1), (1, 9), (2, 1)]
FILLS_THE_BUDGET = {"random_regular", "expander", "bernoulli", "evolved"}  # they list what uses most of it
every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
quick = settings(max_examples=20, deadline=None)


NONE = {("bernoulli", 9, 1)}
"""Families and sizes without a member: a single output is too seldom reached by chance."""


@cache
def roomy_members(name: str, n_in: int, n_out: int) -> list[Member]:
    """Members within a budget that lets every family have several."""
    return members(name, n_in, n_out, 3 * n_in * n_out)


@st.composite
def calls(draw: st.DrawFn, family: Family) -> dict[str, Any]:
    """Arguments of some member, square, prime or rectangular: sizes cover what cropping and mixed radices do."""
    n_in, n_out = draw(st.sampled_from([size for size in SIZES if (family.name, *size) not in NONE]))
    return draw(st.sampled_from(roomy_members(family.name, n_in, n_out))).arguments


def edges(topology: Topology) -> list[np.ndarray]:
    """Where there is an edge, of either kind."""
    return [mask > 0 for mask in topology.masks()]


@every_family
def test_it_describes_itself(family: Family) -> None:
    check_description(family)
    example = parse(family.example)
    assert (example.n_in, example.n_out, example.is_connected) == (32, 32, True)
    assert render(*read(family.example)) == family.example


@every_family
@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_members_are_connected_and_fit(family: Family, n_in: int, n_out: int) -> None:
    budget = 3 * n_in * n_out
    found = members(family.name, n_in, n_out, budget)
    assert bool(found) == ((family.name, n_in, n_out) not in NONE)
    assert all(parse(member.expression) == member.topology() for member in found[:: max(1, len(found) // 15)])
    check_family(family, [(n_in, n_out)])


@every_family
def test_a_larger_budget_has_more_members(family: Family) -> None:
    for n_in, n_out in ((8, 8), (7, 7), (6, 10)):
        tight, roomy = (
            {member.expression for member in members(family.name, n_in, n_out, budget)} for budget in (60, 200)
        )
        assert roomy
        assert tight <= roomy or family.name in FILLS_THE_BUDGET


@every_family
def test_24_by_40_works(family: Family) -> None:
    found = members(family.name, 24, 40, 1200)
    assert found
    topology = found[len(found) // 2].topology()
    assert (topology.n_in, topology.n_out, topology.is_connected) == (24, 40, True)


@every_family
@pytest.mark.parametrize(("n_in", "n_out"), [(12, 1), (1, 12), (7, 1), (1, 7)])
def test_one_input_or_one_output_is_a_size_like_others(family: Family, n_in: int, n_out: int, tmp_path: Path) -> None:
    """A head for regression: fitted, saved, and applied as a layer."""
    found = family.fit(n_in, n_out, 1000)
    topology = found.topology()
    assert topology.is_connected and topology.n_trainable <= 1000
    assert load(topology.save(tmp_path / "head.safetensors")) == topology
    assert load_masks(save_masks(topology, tmp_path / "head.npz")) == topology
    layer = SparseCascade(found.expression)
    x = torch.ones(3, n_in)
    torch.testing.assert_close(layer(x), layer.to_linear()(x))
    assert layer(x).shape == (3, n_out)


@every_family
@quick
@given(data=st.data())
def test_constants(family: Family, data: st.DataObject) -> None:
    """With skip, every neuron of two edges or more has a constant one, one of fan-in 1 has none; without, none has.

    The evolved law has its own numbers of constants.
    """
    arguments = data.draw(calls(family))
    with_skip = family.build(**{**arguments, "skip": True})
    without = family.build(**{**arguments, "skip": False})
    assert all(np.array_equal(a, b) for a, b in zip(edges(with_skip), edges(without), strict=True))
    assert without.n_constant == 0
    for place, mask in enumerate(with_skip.masks()):
        held = (mask == 2).sum(axis=0)
        allowed = arguments.get("p", 1) if place == with_skip.depth - 1 else 1  # copies each keep theirs
        wide = (mask > 0).sum(axis=0) >= 2
        assert (held[~wide] == 0).all()
        if family.name != "evolved":
            assert (held[wide] >= 1).all() and (held <= allowed).all()
        assert ((mask == 1).sum(axis=0)[(mask > 0).any(axis=0)] >= 1).all() or allowed > 1


@every_family
@quick
@given(data=st.data())
def test_diagonal_appends_one_trainable_edge_per_output(family: Family, data: st.DataObject) -> None:
    arguments = data.draw(calls(family))
    plain, longer = family.build(**arguments), family.build(**arguments, diagonal=True)
    assert longer.layers[:-1] == plain.layers
    assert np.array_equal(longer.masks()[-1], np.eye(plain.n_out))


@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - {"expander", "bernoulli"}))  # drawn at random, as they come
@quick
@given(data=st.data())
def test_no_neuron_is_dead(name: str, data: st.DataObject) -> None:
    topology = FAMILIES[name].build(**data.draw(calls(FAMILIES[name])))
    assume(all(layer.n_edges >= layer.n_in for layer in topology.layers))  # else there are not edges enough
    for layer in topology.layers:
        assert (layer.fan_in > 0).all() and (layer.fan_out > 0).all()


@every_family
@quick
@given(data=st.data())
def test_building_twice_gives_the_same(family: Family, data: st.DataObject) -> None:
    arguments = data.draw(calls(family))
    assert family.build(**arguments) == family.build(**arguments)
    text = render(family.name, arguments)
    assert read(text)[0] == family.name
    assert render(*read(text)) == text
    assert parse(text) == family.build(**arguments)


@st.composite
def recipes(draw: st.DrawFn) -> tuple[int, int, int]:
    """Any sizes, primes and powers among them, and a budget from the least of a recipe to the dense layer's edges."""
    sizes = st.one_of(st.integers(2, 40), st.integers(2, 4096), st.sampled_from([1, 31, 128, 784, 1009, 4096]))
    n_in, n_out = draw(sizes.filter(lambda size: size > 1)), draw(sizes)
    least, most = sorted((n_in + n_out, n_in * n_out))
    share = draw(st.floats(0, 1))
    return n_in, n_out, min(round(least * (most / least) ** share), 30_000)  # what is built in a moment


def connected(topology: Topology) -> bool:
    """Whether every output is reached, by a few inputs of a large topology."""
    some = np.unique(np.linspace(0, topology.n_in - 1, min(topology.n_in, 8)).astype(int))
    reach = np.eye(topology.n_in, dtype=bool)[some]
    for layer in topology.layers:
        reach = step(reach, layer)
    return bool(reach.all())


@every_family
@settings(max_examples=8, deadline=None)
@given(recipe=recipes())
def test_fit_is_connected_and_fits_or_names_the_least_budget(family: Family, recipe: tuple[int, int, int]) -> None:
    n_in, n_out, budget = recipe
    try:
        found = family.fit(*recipe)
    except ValueError as refusal:
        needed = int(str(refusal).rpartition("it needs ")[2])
        assert needed > budget and "\n" not in str(refusal)
        assert family.fit(n_in, n_out, needed).n_trainable <= needed
        return
    assert found == family.fit(*recipe)
    assert render(family.name, found.arguments) == found.expression
    topology = found.topology()
    assert (topology.n_in, topology.n_out) == (n_in, n_out)
    assert connected(topology)
    assert topology.n_trainable <= found.n_trainable <= budget
    assert topology.n_trainable == found.n_trainable or family.name == "bernoulli"


@pytest.mark.parametrize("name", ["clos", "random_regular", "parallel_butterfly", "butterfly"])
@pytest.mark.parametrize(("n_in", "n_out"), [(32, 32), (784, 100), (784, 256), (768, 3072), (1000, 2048), (2048, 2048)])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_fit_uses_most_of_a_budget(name: str, n_in: int, n_out: int, share: float) -> None:
    """Where layers are small steps; at 24 x 40 a butterfly of nine tenths may be worse than one of 85 %."""
    budget = round(share * n_in * n_out)
    assert FAMILIES[name].fit(n_in, n_out, budget).n_trainable >= 0.9 * budget


@quick
@given(recipe=recipes())
def test_some_family_fits_every_recipe(recipe: tuple[int, int, int]) -> None:
    found = fits(*recipe)
    assert found
    assert all(member == FAMILIES[name].fit(*recipe) for name, member in found.items())
    assert "low_rank" in found or "dense" in found


LARGE = [
    (784, 10, 1960),
    (784, 256, 50_176),
    (768, 3072, 589_824),
    (2048, 1000, 512_000),
    (4096, 1000, 30_000),
    (3840, 2520, 20_000),
    (3840, 2520, 2_400_000),
]


@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - FILLS_THE_BUDGET))  # which build, to see what is connected
@pytest.mark.parametrize("recipe", LARGE, ids=str)
def test_fit_takes_few_steps_whether_it_finds_a_member_or_refuses(name: str, recipe: tuple[int, int, int]) -> None:
    """Steps are counted as calls of Python functions, of which ten milliseconds hold about as many."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        with suppress(ValueError):
            FAMILIES[name].fit(*recipe)
    finally:
        sys.setprofile(None)
    assert 0 < calls < 50_000


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("expander", (24, 40, 480)),
        ("expander", (32, 32, 640)),
        ("bernoulli", (32, 32, 800)),
        ("bernoulli", (24, 40, 600)),
        ("clos", (32, 32, 480)),
        ("butterfly", (24, 40, 480)),
    ],
)
def test_what_fit_chooses_errs_little_more_than_the_best_member(name: str, recipe: tuple[int, int, int]) -> None:
    fidelity = Fidelity(targets=4, steps=300, rates=(0.6, 1.2, 2.4))

    def error(member: Member) -> float:
        return MatrixReconstruction().evaluate(member.topology(), fidelity, Split.SEARCH, 0).error

    assert error(FAMILIES[name].fit(*recipe)) <= 1.05 * min(map(error, members(name, *recipe)))
