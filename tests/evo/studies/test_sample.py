"""The sample of a study: what its topologies must be, how different they are, and that every call draws the same."""

from __future__ import annotations

import numpy as np
import pytest

from evo.studies.proxies.sample import PERTURBED, RANDOM, draw_sample
from topologies.families import FAMILIES


@pytest.mark.parametrize(("n", "budget"), [(32, 160), (32, 640), (16, 160), (12, 60)])
def test_topologies_are_distinct_connected_and_near_the_budget(n: int, budget: int) -> None:
    found = draw_sample(n, budget, 40, seed=3)
    assert len({one.topology.digest for one in found}) == 40
    for one in found:
        masks = one.topology.masks()
        paths = np.eye(n)
        for mask in masks:
            paths = np.minimum(1, paths @ (mask != 0))
        assert paths.shape == (n, n)
        assert paths.all()
        assert 0.95 * budget <= sum((mask == 1).sum() for mask in masks) <= budget


def test_topologies_are_canonical() -> None:
    from topologies.canonical import canonical

    assert all(canonical(one.topology) == one.topology for one in draw_sample(16, 128, 20, seed=0))


def test_no_two_have_the_same_shape_but_members() -> None:
    found = [one.topology for one in draw_sample(16, 128, 60, seed=0) if one.family in (RANDOM, PERTURBED)]
    shapes = {tuple((mask.shape, (mask == 1).sum(), (mask == 2).sum()) for mask in one.masks()) for one in found}
    assert len(shapes) == len(found)


def test_a_seed_names_them_and_more_begin_with_the_same() -> None:
    few, more, others = draw_sample(16, 128, 10, 1), draw_sample(16, 128, 25, 1), draw_sample(16, 128, 10, 2)
    assert more[:10] == few
    assert few != others


def test_they_vary_in_everything_that_is_known_to_matter() -> None:
    found = draw_sample(32, 640, 120, seed=0)
    families = {one.family for one in found}
    assert {RANDOM, PERTURBED, "butterfly", "parallel_butterfly", "clos", "random_regular"} <= families
    assert families <= {RANDOM, PERTURBED, *FAMILIES}
    topologies = [one.topology for one in found]
    assert len({topology.depth for topology in topologies}) >= 10
    free = np.array([topology.n_constant == 0 for topology in topologies])
    assert 0.2 < free.mean() < 0.8
    hidden = [topology.widths[1:-1] for topology in topologies if topology.depth > 1]
    assert min(min(widths) for widths in hidden) < 32 < max(max(widths) for widths in hidden)


def test_depth_is_independent_of_constants() -> None:
    found = [one.topology for one in draw_sample(32, 640, 200, seed=0) if one.family == RANDOM]
    depths = np.array([topology.depth for topology in found])
    free = np.array([topology.n_constant == 0 for topology in found])
    assert abs(np.corrcoef(depths, free)[0, 1]) < 0.3


@pytest.mark.parametrize(("budget", "message"), [(63, "between 2n = 64 and n² = 1024"), (1025, "between 2n = 64")])
def test_a_budget_outside_the_paper_s_range_is_refused(budget: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_sample(32, budget, 1, 0)


def test_more_than_can_be_found_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evo.studies.proxies.sample._TRIES", 1)
    with pytest.raises(ValueError, match="count = 60: only"):
        draw_sample(2, 4, 60, 0)
