"""A profile travels: at its own size it makes a topology of the same statistics, at others one that is admissible."""

from __future__ import annotations

import pytest

from evo.studies.rules.generalise import generalised
from evo.variation.profile import Profile, instantiate
from topologies import Stack, butterfly, evolved, random_regular

CHAMPIONS = {
    "regular": random_regular(16, 16, 24, 5, 3),
    "evolved": evolved(24, 40, 300),
    "butterfly": butterfly(16, 6),
}


@pytest.mark.parametrize("name", CHAMPIONS)
def test_at_its_own_size_it_has_the_champions_depth_widths_and_edges(name: str) -> None:
    champion = CHAMPIONS[name]
    made = instantiate(Profile.of(champion), champion.n_in, champion.n_out, champion.n_trainable)
    assert made.widths == champion.widths and made.n_trainable == champion.n_trainable
    for own, of_champion in zip(made.layers, champion.layers, strict=True):
        assert abs(own.n_trainable - of_champion.n_trainable) <= 1
        assert abs(own.n_edges - of_champion.n_edges) <= 1


@pytest.mark.parametrize("size", [(32, 32, 640), (5, 9, 14), (48, 12, 200), (16, 16, 256), (7, 7, 30), (97, 3, 120)])
@pytest.mark.parametrize("name", CHAMPIONS)
def test_at_another_size_it_is_connected_on_budget_and_a_function_of_the_seed(
    name: str, size: tuple[int, int, int]
) -> None:
    n_in, n_out, budget = size
    profile = Profile.of(CHAMPIONS[name])
    try:
        made = instantiate(profile, n_in, n_out, budget)
    except ValueError as error:
        assert "are too few for" in str(error) and budget < 3 * (n_in + n_out)
        return
    assert (made.n_in, made.n_out, made.depth) == (n_in, n_out, len(profile.shares))
    assert made.n_trainable == budget and made.is_connected
    assert instantiate(profile, n_in, n_out, budget).digest == made.digest
    assert instantiate(profile, n_in, n_out, budget, seed=1).digest != made.digest


def test_a_wide_champion_of_many_edges_is_wide_elsewhere() -> None:
    made = instantiate(Profile.of(CHAMPIONS["regular"]), 32, 32, CHAMPIONS["regular"].n_trainable * 4)
    assert made.widths == (32, *[48] * (CHAMPIONS["regular"].depth - 1), 32)


@pytest.mark.parametrize(("budget", "words"), [(30, "between 31 and 256"), (257, "between 31 and 256")])
def test_a_budget_that_does_not_suit_the_size_is_refused(budget: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        instantiate(Profile.of(CHAMPIONS["regular"]), 16, 16, budget)


def test_a_stack_has_no_one_law_and_words_tell_the_statistics() -> None:
    with pytest.raises(ValueError, match="a stack of 2 topologies has no one law"):
        generalised(Stack((butterfly(16, 4), butterfly(16, 4))), 16, 16, 200)
    said, made = generalised(CHAMPIONS["regular"], 32, 32, 640)
    assert f"Layers: {made.depth}" in said and "1.50, 1.50" in said
