"""Paths kept up to date edge by edge against products of the masks as they are by then."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.variation.edges import Masks
from evo.variation.paths import Paths

FAST = settings(max_examples=30, deadline=None)


@st.composite
def cascades(draw: st.DrawFn) -> tuple[Masks, np.random.Generator]:
    """Masks from sparse to nearly dense, and a generator for what happens to them."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widths = draw(st.lists(st.integers(1, 7) | st.integers(60, 70), min_size=2, max_size=6))
    density = draw(st.sampled_from([0.3, 0.6, 0.9]))
    kinds = [1 - density, density / 2, density / 2]
    return [generator.choice(3, size=shape, p=kinds).astype(np.int8) for shape in pairwise(widths)], generator


def between(masks: Masks, first: int, last: int) -> np.ndarray:
    """Whether a path leads from a neuron of layer ``first`` of neurons to one of layer ``last``."""
    widths = [masks[0].shape[0], *(mask.shape[1] for mask in masks)]
    paths = np.eye(widths[first])
    for mask in masks[first:last]:
        paths = paths @ (mask > 0)
    return paths > 0


def assert_followed(paths: Paths, masks: Masks) -> None:
    """Everything that is known of the paths is true of the masks."""
    depth = len(masks)
    for place in range(depth + 1):
        assert np.array_equal(paths.reached(place) > 0, between(masks, place, depth))
    assert paths.missing == np.count_nonzero(~between(masks, 0, depth))
    for mask, link in zip(masks, paths.links, strict=True):
        assert np.array_equal(mask > 0, link)


@given(cascades())
@FAST
def test_an_edge_more_makes_the_paths_that_were_gained(cascade: tuple[Masks, np.random.Generator]) -> None:
    masks, generator = cascade
    paths = Paths(masks)
    for _ in range(8):
        place = int(generator.integers(len(masks)))
        source, target = (int(generator.integers(width)) for width in masks[place].shape)
        before, gain = paths.missing, paths.gains()[place][source, target]
        masks[place][source, target] = 1
        paths.add(place, source, target)
        assert_followed(paths, masks)
        assert before - paths.missing == gain


@given(cascades())
@FAST
def test_edges_go_exactly_if_all_pairs_stay_joined(cascade: tuple[Masks, np.random.Generator]) -> None:
    masks, generator = cascade
    paths = Paths(masks)
    for _ in range(8):
        flat = np.concatenate([mask.ravel() for mask in masks])
        there = generator.permutation(np.flatnonzero(flat))[: generator.integers(1, 4)]
        if there.size == 0:
            return
        flat[there] = 0
        ends = np.cumsum([mask.size for mask in masks])[:-1]
        fewer = [part.reshape(mask.shape) for part, mask in zip(np.split(flat, ends), masks, strict=True)]
        spared = paths.spare(there)
        assert spared == bool(between(fewer, 0, len(masks)).all())
        masks = fewer if spared else masks
        assert_followed(paths, masks)
