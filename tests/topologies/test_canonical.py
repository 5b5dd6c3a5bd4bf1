"""The digest names what a topology computes: blind to the numbers of hidden neurons, to nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from topologies import Topology
from topologies.canonical import canonical, renumber
from topologies.expression import parse

quick = settings(max_examples=40, deadline=None)

UNTIED = [
    "butterfly(8, 5)",
    "butterfly(12, 6)",
    "butterfly(7, 2)",
    "hypercube(8, 4, skip=False)",
    "torus((3, 4), 5)",
    "parallel_butterfly(8, 3, 4)",
    "random_regular(6, 9, 11, 4, 3, 5)",
    "expander(8, 8, 12, 3, 4, 2)",
    "butterfly(12, 5, n_out=9, diagonal=True)",
]
"""Every hidden neuron of these can be told from all others by what it is joined with."""


def shuffled(topology: Topology, seed: int) -> Topology:
    """The topology with its hidden neurons renumbered at random."""
    generator = np.random.default_rng(seed)
    return renumber(topology, [generator.permutation(width) for width in topology.widths[1:-1]])


def random_topology(seed: int, widths: list[int], density: float) -> Topology:
    """Edges and kinds drawn independently."""
    generator = np.random.default_rng(seed)
    kinds = [1 - density, density * 0.6, density * 0.4]
    return Topology.from_masks([generator.choice(3, size=shape, p=kinds) for shape in pairwise(widths)])


def has_ties(topology: Topology) -> bool:
    """Whether refinement, written again with tuples and sets, leaves two hidden neurons alike."""
    colours: list[list[int]] = [[place] * width for place, width in enumerate(topology.widths)]
    colours[0], colours[-1] = [~k for k in range(topology.n_in)], [~k - 10**6 for k in range(topology.n_out)]
    masks = topology.masks()
    for _ in range(sum(topology.widths)):
        told = []
        for place, own in enumerate(colours):
            before = masks[place - 1].T if place else np.zeros((len(own), 0))
            after = masks[place] if place < topology.depth else np.zeros((len(own), 0))
            feeds, fed = colours[place - 1] if place else [], colours[place + 1] if place < topology.depth else []
            told.append(
                [
                    (
                        own[k],
                        tuple(sorted((int(kind), c) for kind, c in zip(before[k], feeds, strict=True) if kind)),
                        tuple(sorted((int(kind), c) for kind, c in zip(after[k], fed, strict=True) if kind)),
                    )
                    for k in range(len(own))
                ]
            )
        names = {colour: number for number, colour in enumerate(sorted({one for row in told for one in row}))}
        colours = [[names[one] for one in row] for row in told]
    return any(len(set(row)) < len(row) for row in colours[1:-1])


@pytest.mark.parametrize("expression", UNTIED)
def test_a_family_keeps_its_digest_however_its_hidden_neurons_are_numbered(expression: str) -> None:
    topology = parse(expression)
    for seed in range(3):
        other = shuffled(topology, seed)
        assert topology.depth == 1 or other != topology
        assert other.digest == topology.digest
        assert canonical(other) == canonical(topology)


@quick
@given(st.integers(0, 2**32), st.lists(st.integers(2, 7), min_size=3, max_size=5), st.sampled_from([0.3, 0.5, 0.8]))
def test_a_random_topology_without_ties_keeps_its_digest(seed: int, widths: list[int], density: float) -> None:
    topology = random_topology(seed, widths, density)
    assume(not has_ties(topology))
    assert shuffled(topology, seed + 1).digest == topology.digest


@quick
@given(st.integers(0, 2**32), st.integers(0, 2**32), st.integers(1, 4), st.booleans())
def test_with_one_hidden_layer_two_digests_are_equal_exactly_if_some_numbering_makes_the_edges_equal(
    seed: int, other_seed: int, width: int, alike: bool
) -> None:
    one = random_topology(seed, [2, width, 2], 0.5)
    masks = one.masks() if alike else random_topology(other_seed, [2, width, 2], 0.5).masks()
    order = np.random.default_rng(other_seed).permutation(width)
    masks = [masks[0][:, order], masks[1][order]]
    masks[0][0, 0] = (int(masks[0][0, 0]) + other_seed) % 3  # one edge of another kind, or none, two times in three
    other = Topology.from_masks(masks)
    isomorphic = any(
        renumber(other, [np.array(numbers)]).layers == one.layers for numbers in permutations(range(width))
    )
    assert (one.digest == other.digest) == isomorphic


@quick
@given(st.integers(0, 2**32), st.lists(st.integers(2, 6), min_size=2, max_size=5))
def test_the_canonical_form_is_a_renumbering_that_stays_as_it_is(seed: int, widths: list[int]) -> None:
    topology = random_topology(seed, widths, 0.6)
    form = canonical(topology)
    assert canonical(form) == form
    again = Topology.from_masks(form.masks())  # with nothing known of it
    assert again == form
    assert form.digest == again.digest == topology.digest
    product, same = np.eye(topology.n_in), np.eye(topology.n_in)
    for mask, other in zip(topology.masks(), form.masks(), strict=True):
        product, same = product @ mask, same @ other
        assert sorted(mask.ravel()) == sorted(other.ravel())
    np.testing.assert_array_equal(product, same)  # every path from an input to an output, weighed by its constants


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([[1, 2], [2, 1]], [[1, 1], [1, 1]]),
        ([[1, 0], [0, 1]], [[1, 1], [1, 1]]),
        ([[1, 1], [1, 1]], [[1, 2], [2, 1]]),
        ([[1, 1], [1, 1]], [[1, 0], [0, 1]]),
    ],
    ids=["kinds in", "sources", "kinds out", "targets"],
)
def test_one_difference_is_enough_to_tell_two_neurons_apart(first: list[list[int]], second: list[list[int]]) -> None:
    topology = Topology.from_masks([first, second])
    exchanged = renumber(topology, [np.array([1, 0])])
    assert exchanged != topology
    assert exchanged.digest == topology.digest


def test_renumber_takes_the_old_number_of_every_neuron() -> None:
    topology = random_topology(3, [3, 4, 5, 2], 0.6)
    first, second = np.array([2, 0, 3, 1]), np.array([4, 3, 0, 1, 2])
    one, two, three = topology.masks()
    expected = Topology.from_masks([one[:, first], two[first][:, second], three[second]])
    assert renumber(topology, [first, second]) == expected


def test_another_kind_of_one_edge_is_another_digest() -> None:
    topology = parse("butterfly(8, 4)")
    digests = {topology.digest}
    for place, mask in enumerate(topology.masks()):
        for source, target in zip(*np.nonzero(mask), strict=True):
            masks = topology.masks()
            masks[place][source, target] = 3 - masks[place][source, target]
            digests.add(Topology.from_masks(masks).digest)
    assert len(digests) == 1 + topology.n_edges


def test_inputs_and_outputs_keep_their_numbers() -> None:
    topology = parse("random_regular(6, 6, 6, 3, 3)")
    first, *middle, last = topology.masks()
    order = [1, 0, 2, 3, 4, 5]
    others = [Topology.from_masks([first[order], *middle, last]), Topology.from_masks([first, *middle, last[:, order]])]
    assert len({topology.digest, *(other.digest for other in others)}) == 3


def test_widths_depth_and_ends_are_part_of_the_name() -> None:
    shapes = [
        [np.zeros((2, 3))],
        [np.zeros((3, 2))],
        [np.zeros((2, 1)), np.zeros((1, 3))],
        [np.zeros((2, 2)), np.zeros((2, 3))],
    ]
    assert len({Topology.from_masks(masks).digest for masks in shapes}) == len(shapes)


def test_digests_are_the_same_in_every_process() -> None:
    program = "from topologies.expression import parse; import sys; print([parse(one).digest for one in sys.argv[1:]])"
    for hash_seed in ("0", "12345"):
        answer = subprocess.run(
            [sys.executable, "-c", program, *UNTIED],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.strip() == str([parse(one).digest for one in UNTIED])
