"""Rules: whatever their numbers, the topology is valid, connected, within the budget, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topologies import evolved
from topologies.families import FAMILIES, members
from topologies.families.rule import BOUNDS, Rule, Wiring, least_budget, shapes
from topologies.families.ruled import ruled

sides = st.one_of(st.integers(2, 64), st.integers(2, 512), st.sampled_from([2, 3, 127, 256, 509, 512]))
rules = st.builds(
    Rule.of,
    st.tuples(*(st.floats(*bounds) for bounds in BOUNDS.values())).map(np.array),
    st.sampled_from(Wiring),
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, int]:
    """Any size to 512, and a budget from the least there is to the dense layer's, as far as it is built quickly."""
    n_in, n_out = draw(sides), draw(sides)
    least, most = least_budget(n_in, n_out), n_in * n_out
    return n_in, n_out, max(least, min(4000, round(least * (most / least) ** draw(st.floats(0, 1)))))


@settings(max_examples=30, deadline=None)
@given(rule=rules, case=cases(), seed=st.integers(0, 3))
def test_any_rule_makes_a_connected_topology_within_the_budget(
    rule: Rule, case: tuple[int, int, int], seed: int
) -> None:
    n_in, n_out, budget = case
    topology = ruled(rule, n_in, n_out, budget, seed)
    assert (topology.n_in, topology.n_out) == (n_in, n_out)
    assert topology.n_trainable <= budget
    assert topology.is_connected
    assert topology == ruled(rule, n_in, n_out, budget, seed)
    trainable = tuple(layer.n_trainable for layer in topology.layers)
    constants = tuple((layer.n_edges - layer.n_trainable) / layer.n_out for layer in topology.layers)
    said = [(one.widths, one.trainable, one.constants) for one in shapes(rule, n_in, n_out, budget)]
    assert (topology.widths, trainable, constants) in said
    assert all(np.ptp(layer.fan_in) <= 1 for layer in topology.layers)


@pytest.mark.parametrize(
    "case", [(32, 32, 640), (31, 17, 200), (96, 384, 3000), (10, 10, 22), (2, 2, 3), (300, 2, 301)]
)
def test_the_evolved_family_spends_the_budget(case: tuple[int, int, int]) -> None:
    topology = evolved(*case)
    assert topology.n_trainable >= min(0.98 * case[2], case[2] - 2)
    assert [one.topology() for one in members("evolved", *case)] == [topology]
    assert FAMILIES["evolved"].fit(*case).topology() == topology


def test_seeds_wire_one_shape_in_several_ways() -> None:
    first, second = evolved(32, 32, 640), evolved(32, 32, 640, seed=1)
    assert first.widths == second.widths and first != second


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((32, 32, 20), "budget is 20: a whole number from 63 .* the nearest is 63"),
        ((1, 1, 5), "a single weight cannot be thinned"),
        ((32, 32, 640, -1), "seed is -1"),
        ((0, 32, 640), "n_in is 0"),
    ],
)
def test_what_cannot_be_had_is_refused_in_a_line(arguments: tuple[int, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words) as refusal:
        evolved(*arguments)
    assert "\n" not in str(refusal.value)


def test_at_every_small_size_the_law_spends_the_whole_budget() -> None:
    for n_in, n_out in ((2, 5), (3, 3), (4, 7), (6, 6)):
        for budget in range(least_budget(n_in, n_out), n_in * n_out + 1):
            assert evolved(n_in, n_out, budget).n_trainable == budget
