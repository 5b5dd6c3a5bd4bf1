"""Topologies that people would make where inputs have places: patches, mixtures, and what is re-ordered by the data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evo.variation.edges import Indices, Masks
from evo.variation.local import mixed
from evo.variation.neighbourhood import choose, cover, ranked, ranks
from evo.variation.space import Profiles, Space, onward
from topologies.entries import CONSTANT
from topologies.families.digits import digit_layers, radices
from topologies.layer import Layer
from topologies.topology import Topology


def patches(space: Space, n_out: int, budget: int, generator: np.random.Generator, share: float = 1.0) -> Topology:
    """One layer in which every output sees the inputs nearest to its place.

    Outputs are at the places of inputs, evenly spread, output j at input j where they are as many, so that the topology
    suits a second layer after the first too. Of several outputs at one place each sees other inputs near it, drawn from
    three times as many, the nearer the likelier. An input that nobody would see is seen by the output nearest to it.

    Parameters
    ----------
    n_out, budget:
        Outputs, and trainable edges, which they share as evenly as can be; from max(n_in, n_out) to n_in * n_out.
    generator:
        Decides between equally near inputs, and what is far.
    share:
        The part of every output's edges that go to the nearest; the rest go anywhere.
    """
    homes = space.homes(n_out)
    mask = np.zeros((len(space), n_out), dtype=np.int8)
    fans = _even(budget, n_out)
    near = ranks(space.profiles, space.profiles[homes], generator)
    shared = np.bincount(homes)[homes] > 1
    near = ranked(near + 2 * (shared * fans)[:, None] * generator.random(near.shape))
    choose(mask, np.arange(n_out), mixed(near, fans, share, generator), fans)
    cover(mask, space.profiles, space.profiles[homes])
    return Topology.from_masks([mask])


def local_butterfly(n_in: int, n_out: int, depth: int, digits: int) -> Topology:
    """A butterfly whose layers change only the ``digits`` lowest digits in turn, so that far neurons never meet.

    It is not connected, and makes sense on inputs in an order: see :func:`reordered`.
    """
    size = max(n_in, n_out)
    layers = digit_layers(radices(size), skip=True)
    return Topology(tuple(islice(cycle(layers[: max(1, digits)]), depth))).crop(n_in, n_out)


def reordered(topology: Topology, order: Indices) -> Topology:
    """The topology with input ``order[k]`` at the place of its input k; of the outputs, if they are as many, the same.

    Outputs are then in the same places as inputs, and the same topology suits a second layer after the first.
    """
    layers = list(topology.layers)
    layers[0] = _renumbered(layers[0], order, np.arange(layers[0].n_out))
    if topology.n_in == topology.n_out:
        layers[-1] = _renumbered(layers[-1], np.arange(layers[-1].n_in), order)
    return Topology(tuple(layers))


def wire(
    masks: Masks, space: Space, constants: ArrayLike, trainable: ArrayLike, generator: np.random.Generator
) -> None:
    """Wire empty layers by nearness: so many constant and trainable edges each, a random share of them anywhere.

    The share is the same in all layers for half of the calls. Constants go to the nearest. Where hidden neurons are is
    drawn from where their sources are; outputs are where :meth:`evo.variation.space.Space.homes` says.
    """
    sources, shares = space.profiles, _shares(len(masks), generator)
    counts = zip(np.asarray(constants).tolist(), np.asarray(trainable).tolist(), strict=True)
    for place, (mask, (fixed, trained)) in enumerate(zip(masks, counts, strict=True)):
        if place == len(masks) - 1:
            places = space.profiles[space.homes(mask.shape[1])]
        else:
            places = sources[generator.permutation(np.resize(_known(sources), mask.shape[1]))]
        targets = np.arange(mask.shape[1])
        near = ranks(sources, places, generator)
        choose(mask, targets, near, generator.permutation(_even(fixed, targets.size)), CONSTANT)
        held = np.count_nonzero(mask, axis=0)
        fans = np.minimum(generator.permutation(_even(trained, targets.size)), len(mask) - held)
        spread = generator.uniform(0.0, 1.5) * fans[:, None] * generator.random(near.shape)
        keys = mixed(ranked(near + spread), fans, shares[place], generator)
        choose(mask, targets, keys, fans)
        cover(mask, sources, places)
        sources = onward(sources, mask)


def _even(total: int, number: int) -> NDArray[np.int64]:
    """So many edges shared out evenly."""
    return np.arange(number) * 0 + total // number + (np.arange(number) < total % number)


def _shares(layers: int, generator: np.random.Generator) -> Sequence[float]:
    """How local each layer is."""
    if generator.random() < 0.5:
        return [float(generator.choice([1.0, generator.random()]))] * layers
    return generator.choice([0.0, 1.0, generator.random()], size=layers).tolist()  # type: ignore[no-any-return]


def _known(profiles: Profiles) -> Indices:
    known = np.flatnonzero(profiles.any(axis=1))
    return known if known.size else np.arange(len(profiles))


def _renumbered(layer: Layer, sources: Indices, targets: Indices) -> Layer:
    """A layer whose source and target k get the numbers ``sources[k]`` and ``targets[k]``."""
    return Layer(layer.n_in, layer.n_out, sources[layer.sources], targets[layer.targets], layer.trainable)
