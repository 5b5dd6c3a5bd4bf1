"""How families grow: the paper says of its five which keep their depth, and which their bandwidth (section VII-E)."""

from __future__ import annotations

import pytest

from topologies import butterfly, clos, evolved
from topologies.growth import growth


@pytest.mark.parametrize(
    ("text", "depths"),
    [
        ("butterfly(32, 18)", (5, 36)),
        ("hypercube(32, 6)", (5, 12)),
        ("torus((8, 4), 7)", (6, 14)),
        ("clos(32, 8, 9, 8)", (3, 3)),
        ("parallel_butterfly(32, 2, 10)", (10, 10)),  # which could grow in depth as well
        ("random_regular(32, 32, 32, depth=5, fan_in=5, seed=3)", (5, 5)),
    ],
)
def test_some_families_grow_in_depth_and_some_in_width(text: str, depths: tuple[int, int]) -> None:
    found = growth(text)
    assert found is not None and (found.least.depth, found.doubled.depth) == depths
    assert found.least.is_connected


def test_relatives_differ_in_one_number_alone() -> None:
    found = growth("butterfly(16, 7, skip=False)")
    assert found is not None and found.least == butterfly(16, 4, skip=False)
    assert found.doubled == butterfly(16, 14, skip=False)
    found = growth("clos(24, 4, 5, 5, n_out=20)")
    assert found is not None and found.least == clos(24, 4, 1, 5, n_out=20)
    found = growth("evolved(16, 16, 100)")
    assert found is not None and found.doubled == evolved(16, 16, 200)


@pytest.mark.parametrize("text", ["dense(8, 8)", "bernoulli(8, 8, 8, 3, 0.7)"])
def test_where_nothing_grows_there_are_no_relatives(text: str) -> None:
    assert growth(text) is None
