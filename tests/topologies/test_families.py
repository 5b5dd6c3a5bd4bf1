"""What all families promise: the counts of the paper, their members, and errors that name the nearest choice."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.topologies.families.graphs import quick
from topologies.expression import parse
from topologies.families import FAMILIES, members
from topologies.families.digits import divisors, factorizations
from topologies.families.family import MOST


@pytest.mark.parametrize(
    ("expression", "n_edges", "n_trainable"),
    [
        ("butterfly(32, 18)", 1152, 576),
        ("hypercube(32, 6)", 1152, 960),
        ("torus((8, 4), 7)", 1120, 896),
        ("clos(32, 8, 9, 8)", 1152, 976),
        ("clos(32, 8, 5, 8)", 640, 528),
        ("clos(32, 16, 4, 16)", 1280, 1120),
        ("random_regular(32, 32, 32, 5, 5, 0)", 800, 640),
        ("parallel_butterfly(32, 2, 10)", 1280, 640),
        ("parallel_butterfly(32, 4, 5)", 1280, 640),
        ("parallel_butterfly(32, 1, 5)", 320, 160),
        ("parallel_butterfly(32, 2, 10, constants='output')", 1280, 672),
        ("low_rank(32, 32, 18)", 1152, 1102),
        ("dense(32, 32)", 1024, 1024),
    ],
)
def test_counts_of_the_paper(expression: str, n_edges: int, n_trainable: int) -> None:
    topology = parse(expression)
    assert (topology.n_edges, topology.n_trainable) == (n_edges, n_trainable)
    assert topology.is_connected


# --- members ----------------------------------------------------------------------------------------------------------


def default_pairs(budget: int) -> set[tuple[int, int]]:
    """(p, d) of the parallel butterflies with default constants."""
    found = members("parallel_butterfly", 32, 32, budget)
    return {(m.arguments["p"], m.arguments["d"]) for m in found if m.arguments["constants"] == "copies"}


def test_parallel_butterfly_members_of_the_paper() -> None:
    assert default_pairs(640) == {(p, d) for p in range(1, 5) for d in range(5, 21) if p * d <= 20}
    assert [len(default_pairs(budget)) for budget in (640, 320, 160, 159)] == [25, 7, 1, 0]
    both = {m.expression for m in members("parallel_butterfly", 32, 32, 640)}
    assert {e for e in both if "output" in e} == {
        f"parallel_butterfly(32, {p}, {d}, constants='output')"
        for p in (2, 3, 4) for d in range(5, 11) if (p * d + p - 1) * 32 <= 640
    }  # fmt: skip


EXHAUSTIVE = {
    "butterfly": lambda n, n_out: [
        f"butterfly({n}, {depth}, {r}, n_out={n_out})" for depth in range(1, 12) for r in {2, *divisors(max(n, n_out))}
    ],
    "hypercube": lambda n, n_out: [f"hypercube({n}, {depth}, n_out={n_out})" for depth in range(1, 12)],
    "torus": lambda n, n_out: [
        f"torus({shape}, {depth}, n_in={n}, n_out={n_out})"
        for shape in factorizations(max(n, n_out)) for depth in range(1, 12)
    ],
    "radix_net": lambda n, n_out: [
        f"radix_net({shape}, {depth}, n_in={n}, n_out={n_out})"
        for shape in factorizations(max(n, n_out)) for depth in range(1, 12)
    ],
    "parallel_butterfly": lambda n, n_out: [
        f"parallel_butterfly({n}, {p}, {d}, n_out={n_out}, constants={constants!r})"
        for p in range(1, 7) for d in range(1 if p == 1 else 2, 12) for constants in ("copies", "output")
    ],
    "low_rank": lambda n, n_out: [f"low_rank({n}, {n_out}, {rank})" for rank in range(1, 30)],
    "dense": lambda n, n_out: [f"dense({n}, {n_out})"],
    "monarch": lambda n, n_out: [
        f"monarch({n}, {block}, n_out={n_out})" for block in range(2, max(2, (max(n, n_out) + 1) // 2) + 1)
    ],
}  # fmt: skip
"""Every admissible call of a family, far enough that a budget of 40 is exceeded."""


@pytest.mark.parametrize("name", EXHAUSTIVE)
@pytest.mark.parametrize(("n", "n_out"), [(8, 8), (7, 7), (6, 9), (12, 5), (2, 8), (9, 1), (1, 12)])
def test_members_are_all_that_are_connected_and_fit(name: str, n: int, n_out: int) -> None:
    """Against building everything. Equal topologies count once, whichever arguments they are listed under."""
    budget = min(max(n * n_out, 25), 40)
    built = [parse(expression) for expression in EXHAUSTIVE[name](n, n_out)]
    expected = {topology for topology in built if topology.is_connected and topology.n_trainable <= budget}
    found = members(name, n, n_out, budget)
    topologies = [member.topology() for member in found]
    assert set(topologies) == expected
    assert [member.n_trainable for member in found] == [topology.n_trainable for topology in topologies]


@pytest.mark.parametrize("name", ["butterfly", "parallel_butterfly", "hypercube", "torus", "radix_net", "monarch"])
@quick
@given(st.integers(1, 100), st.integers(1, 100), st.data())
def test_trainable_edges_of_cropped_members_are_counted_without_building(
    name: str, n_in: int, n_out: int, data: st.DataObject
) -> None:
    """Against building them."""
    assume(n_in > 1 or n_out > 1)
    lines = list(FAMILIES[name].lines(n_in, n_out, 30 * max(n_in, n_out)))
    assume(lines)
    line = data.draw(st.sampled_from(lines))
    step = data.draw(st.sampled_from(line.steps[:30] or range(line.steps.start, line.steps.start + 1)))
    topology = FAMILIES[name].build(**line.arguments(step))
    assume(topology.n_edges < 1 << 18)
    assert line.count(step) == topology.n_trainable
    assert topology.is_connected


def test_a_list_that_would_be_endless_keeps_what_is_near_the_budget() -> None:
    budget = 784 * 784 // 2
    found = members("clos", 784, 784, budget)
    assert len(found) <= MOST
    assert np.median([one.n_trainable for one in found]) > 0.9 * budget
    assert len({one.expression for one in found}) == len(found)


@pytest.mark.parametrize(("n", "n_out"), [(32, 32), (31, 31), (24, 40), (3, 2), (2, 2)])
def test_clos_members(n: int, n_out: int) -> None:
    budget = 640 if n > 20 else n * n_out
    found = members("clos", n, n_out, budget)
    assert found
    for member in found[:: max(1, len(found) // 40)]:
        topology = member.topology()
        assert topology.is_connected
        assert topology.n_trainable == member.n_trainable <= budget
    if (n, n_out) == (32, 32):
        listed = {member.expression for member in found}
        assert {"clos(32, 8, 6, 8)", "clos(32, 16, 1, 16)", "clos(32, 4, 7, 8)"} <= listed
        assert "clos(32, 8, 7, 8)" not in listed  # 752 trainable


@pytest.mark.parametrize("name", ["random_regular", "expander", "bernoulli"])
def test_random_members_use_most_of_the_budget_or_all_that_their_shape_holds(name: str) -> None:
    found = members(name, 32, 32, 900)
    assert found
    assert max(member.n_trainable for member in found) > 0.94 * 900
    if name == "random_regular":
        assert "random_regular(32, 32, 32, 5, 5)" in {m.expression for m in members(name, 32, 32, 640)}


@pytest.mark.parametrize("name", FAMILIES)
def test_signature_of_the_public_names(name: str) -> None:
    """What architecture.md promises: skip and diagonal everywhere, by name only."""
    parameters = inspect.signature(FAMILIES[name].build).parameters
    for flag in ("skip", "diagonal"):
        assert parameters[flag].kind is inspect.Parameter.KEYWORD_ONLY


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "nearest"),
    [
        ("butterfly(1, 3)", "n is 1 and n_out is 1: .* nearest is n = 2"),
        ("clos(0, 1, 1, 1)", "n is 0: .* nearest is 1"),
        ("butterfly(32, 0)", "depth is 0: .* nearest is 1"),
        ("butterfly(32, 5, radix=3)", "radix is 3, .* 32: the nearest are 2, 4"),
        ("butterfly(32, 5, radix=100)", "radix is 100, .* nearest are 16, 32"),
        ("butterfly(32, 5, n_out=0)", "n_out is 0: .* nearest is 1"),
        ("butterfly(32.0, 5)", "n is 32.0: a whole number"),
        ("butterfly(True, 5)", "n is True: a whole number"),
        ("parallel_butterfly(32, 3, 1)", "d is 1: .* nearest is d = 2, or p = 1"),
        ("parallel_butterfly(32, 0, 5)", "p is 0: .* nearest is 1"),
        ("parallel_butterfly(32, 1, 0)", "d is 0: .* nearest is 1"),
        ("parallel_butterfly(32, 2, 5, constants='copy')", "'copy': .* nearest is 'copies'"),
        ("hypercube(32, -1)", "depth is -1: .* nearest is 1"),
        ("torus((8, 1), 4)", r"shape\[1\] is 1: .* nearest is 2"),
        ("torus(32, 4)", r"shape is 32: a tuple .* such as \(8, 4\)"),
        ("torus((), 4)", r"such as \(8, 4\)"),
        ("torus((8, 4), 7, n_in=33)", r"32 neurons, not 33: the nearest is \(9, 4\)"),
        ("clos(32, 33, 2, 8)", "ingress is 33: .* nearest is 32"),
        ("clos(32, 8, 0, 8)", "middle is 0: .* nearest is 1"),
        ("clos(32, 8, 2, 41, 40)", "egress is 41: .* nearest is 40"),
        ("random_regular(32, 40, 24, 3, 30)", "fan_in is 30: .* from 1 to 24 .* nearest is 24"),
        ("expander(32, 32, 32, 1, 33)", "fan_in is 33: .* nearest is 32"),
        ("random_regular(32, 32, 32, 3, 3, -1)", "seed is -1: .* nearest is 0"),
        ("bernoulli(8, 8, 8, 2, 0)", "density is 0: a number above 0"),
        ("bernoulli(8, 8, 8, 2, 'x')", "density is 'x'"),
        ("low_rank(8, 8, 0)", "rank is 0: .* nearest is 1"),
        ("dense(8, 0)", "n_out is 0: .* nearest is 1"),
        ("monarch(32, 17)", "block is 17: .* from 2 to 16 .* nearest is 16"),
        ("radix_net((4, 4), 2, n_out=18)", r"16 neurons, not 18: the nearest is \(5, 4\)"),
    ],
)
def test_an_inadmissible_argument_names_the_nearest(expression: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=nearest) as caught:
        parse(expression)
    assert "\n" not in str(caught.value)


def test_members_refuse_bad_sizes() -> None:
    with pytest.raises(ValueError, match=r"n_in is 0: .* nearest is 1"):
        members("butterfly", 0, 8, 20)
    with pytest.raises(ValueError, match=r"a single weight cannot be thinned"):
        members("butterfly", 1, 1, 20)
    with pytest.raises(ValueError, match=r"no family 'parallel_buterfly', the nearest is 'parallel_butterfly'"):
        members("parallel_buterfly", 8, 8, 20)
