"""Operators for inputs that have places: they rewire neurons by what is near.

Each is made for a :class:`evo.variation.space.Space`, changes some or all neurons of one layer, and keeps the layer's
numbers of trainable and constant edges.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evo.variation.bounds import Bounds
from evo.variation.edges import Indices, Mask, Masks, step_size
from evo.variation.neighbourhood import Keys, choose, cover, fans_of, places_of, ranks, uneven
from evo.variation.proposal import Operator, operator
from evo.variation.space import Profiles, Space, onward
from topologies.entries import CONSTANT, TRAINABLE


class _Chosen(NamedTuple):
    """A layer, where its sources are, some of its targets, and where these are."""

    mask: Mask
    sources: Profiles
    targets: Indices
    places: Profiles


def rewire_near(space: Space) -> Operator:
    """Some edges of some neurons go to sources near the neuron."""

    @operator
    def propose(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
        chosen = _some(masks, space, generator)
        near = ranks(chosen.sources, chosen.places, generator)
        spread = step_size(len(chosen.sources), generator)
        _rewire(chosen, near + spread * generator.random(near.shape), generator)
        return masks

    return propose


def rewire_far(space: Space) -> Operator:
    """Some edges of some neurons go to any sources in the farther half."""

    @operator
    def propose(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
        chosen = _some(masks, space, generator)
        near = ranks(chosen.sources, chosen.places, generator)
        _rewire(chosen, generator.random(near.shape) + (near < len(chosen.sources) // 2), generator)
        return masks

    return propose


def window(space: Space) -> Operator:
    """Some neurons see exactly the sources nearest to them, as many as before or numbers drawn anew."""

    @operator
    def propose(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
        chosen = _some(masks, space, generator)
        fans = fans_of(chosen.mask, chosen.targets)
        if generator.random() < 0.5:
            held = np.count_nonzero(chosen.mask[:, chosen.targets] == CONSTANT, axis=0)
            fans = uneven(fans, len(chosen.sources) - int(held.max()), generator)
        choose(chosen.mask, chosen.targets, ranks(chosen.sources, chosen.places, generator), fans)
        _cover(chosen)
        return masks

    return propose


def channels(space: Space) -> Operator:
    """Some neurons move to where others are, and see other sources near that place than those do."""

    @operator
    def propose(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
        chosen = _some(masks, space, generator)
        others = generator.integers(chosen.mask.shape[1], size=chosen.targets.size)
        near = ranks(chosen.sources, places_of(chosen.mask, chosen.sources, others, generator), generator)
        fans = fans_of(chosen.mask, chosen.targets)
        spread = generator.uniform(0.0, 2.0) * fans[:, None]
        taken = (chosen.mask[:, others].T == TRAINABLE) * fans[:, None]
        choose(chosen.mask, chosen.targets, near + taken + spread * generator.random(near.shape), fans)
        _cover(chosen)
        return masks

    return propose


def copy(space: Space) -> Operator:
    """A neuron's pattern, the ranks of its sources by nearness, is taken over by the neurons near it."""

    @operator
    def propose(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
        mask, sources = _layer(masks, space, generator)
        of_targets = onward(sources, mask)
        model = int(generator.integers(mask.shape[1]))
        nearest = ranks(of_targets, of_targets[[model]], generator)[0]
        nearest[model] = -1.0
        targets = np.argsort(nearest)[: 1 + step_size(mask.shape[1] - 1, generator)]
        near = ranks(sources, places_of(mask, sources, targets, generator), generator)
        pattern = near[0][mask[:, model] == TRAINABLE].astype(np.intp)
        outside = np.full(len(sources), float(len(sources)))
        outside[pattern] = 0.0
        choose(mask, targets, near + outside[near.astype(np.intp)], fans_of(mask, targets))
        cover(mask, sources, onward(sources, mask))
        return masks

    return propose


def mixture(space: Space) -> Operator:
    """Some neurons see a share of their sources near them, the others anywhere."""

    @operator
    def propose(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
        chosen = _some(masks, space, generator)
        fans = fans_of(chosen.mask, chosen.targets)
        near = ranks(chosen.sources, chosen.places, generator)
        choose(chosen.mask, chosen.targets, mixed(near, fans, generator.random(), generator), fans)
        _cover(chosen)
        return masks

    return propose


def mixed(near: Keys, fans: np.ndarray, share: float, generator: np.random.Generator) -> Keys:
    """Keys by which a share of each neuron's edges goes to the nearest sources and the rest anywhere."""
    local = np.rint(share * fans)[:, None]
    return np.where(near < local, near, near.shape[1] * (1 + generator.random(near.shape)))


def _layer(masks: Masks, space: Space, generator: np.random.Generator) -> tuple[Mask, Profiles]:
    """Any layer, and where its sources are."""
    place = int(generator.integers(len(masks)))
    return masks[place], space.levels(masks[:place])[-1]


def _some(masks: Masks, space: Space, generator: np.random.Generator) -> _Chosen:
    """Any layer with some of its targets, half of the times all."""
    mask, sources = _layer(masks, space, generator)
    targets = generator.permutation(mask.shape[1])
    if generator.random() < 0.5:
        targets = targets[: step_size(targets.size, generator)]
    return _Chosen(mask, sources, targets, places_of(mask, sources, targets, generator))


def _rewire(chosen: _Chosen, keys: Keys, generator: np.random.Generator) -> None:
    """Some of the targets' trainable edges go where keys are least, and not where one of them was."""
    mask, targets = chosen.mask, chosen.targets
    has = mask[:, targets].T == TRAINABLE
    goes = has & (generator.random(has.shape) < np.exp(generator.uniform(np.log(0.03), np.log(0.6))))
    keys = np.where(has, np.where(goes, np.inf, -1.0), keys)
    keys[goes] = keys[~has].max(initial=0.0) + 1.0
    choose(mask, targets, keys, fans_of(mask, targets))
    _cover(chosen)


def _cover(chosen: _Chosen) -> None:
    cover(chosen.mask, chosen.sources, onward(chosen.sources, chosen.mask))
