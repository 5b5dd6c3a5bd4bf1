"""A new topology with its parent's statistics: widths, and trainable and constant edges of every layer.

These statistics are most of what decides how well a topology reconstructs matrices; the wiring is drawn anew, with even
fans.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evo.variation.bounds import Bounds
from evo.variation.edges import Mask, Masks, add, apportion, count
from evo.variation.proposal import operator
from topologies.entries import ABSENT, CONSTANT, TRAINABLE

_LARGEST = 0.8
"""The greatest standard deviation by which a statistic's logarithm changes."""
_ANEW, _MOST_CONSTANTS = 0.3, 3
"""How often a layer gets another number of constant edges a neuron, and how many at most."""
_PAIRINGS = 6
"""How often ends that met where an edge is already are paired anew, before any absent edge will do."""


@operator
def redraw(masks: Masks, bounds: Bounds, generator: np.random.Generator) -> Masks | None:
    """Widths, trainable and constant edges of some layers change, by little more often than by much; now and then a
    layer gets another number of constants a neuron; and every layer is wired anew.
    """
    spread = float(np.exp(generator.uniform(np.log(0.02), np.log(_LARGEST))))
    widths = [masks[0].shape[0], *(mask.shape[1] for mask in masks)]
    hidden = np.rint(_perturbed(widths[1:-1], spread, generator)).astype(np.int64)
    widths[1:-1] = np.clip(hidden, 1, max(bounds.max_width, *widths[1:-1], 1)).tolist()
    constants = _perturbed([count([mask], CONSTANT) for mask in masks], spread, generator)
    if generator.random() < _ANEW:
        place = int(generator.integers(len(masks)))
        constants[place] = masks[place].shape[1] * int(generator.integers(_MOST_CONSTANTS, endpoint=True))
    trainable = _perturbed([count([mask], TRAINABLE) for mask in masks], spread, generator)
    kept = [wanted * width / mask.shape[1] for wanted, width, mask in zip(constants, widths[1:], masks, strict=True)]
    return drawn(widths, kept, trainable, bounds.budget, generator)


def drawn(
    widths: Sequence[int],
    constants: Sequence[float],
    shares: ArrayLike,
    budget: int,
    generator: np.random.Generator,
) -> Masks:
    """Masks of layers between these widths, with so many constant edges each and trainable ones by their shares of the
    budget, all with even fans.
    """
    masks = [np.zeros(shape, dtype=np.int8) for shape in pairwise(widths)]
    for mask, wanted in zip(masks, constants, strict=True):
        _scatter(mask, min(round(wanted), mask.size - 1), generator, CONSTANT)
    room = [int(np.count_nonzero(mask == ABSENT)) for mask in masks]
    for mask, edges in zip(masks, apportion(budget, np.maximum(shares, 1e-9), room), strict=True):
        _scatter(mask, int(edges), generator, TRAINABLE)
    return masks


def _scatter(mask: Mask, number: int, generator: np.random.Generator, kind: int) -> None:
    """Add so many edges whose ends are dealt out evenly, and paired anew where two meet or another edge is.

    Neurons that have fewer edges already are dealt to first, so that the fans of all edges are even.
    """
    sources, targets = (_dealt(np.count_nonzero(mask, axis=axis), number, generator) for axis in (1, 0))
    for _ in range(_PAIRINGS):
        sources = generator.permutation(sources)
        cells, first = np.unique(sources * mask.shape[1] + targets, return_index=True)
        fits = first[mask.ravel()[cells] == ABSENT]
        mask[sources[fits], targets[fits]] = kind
        sources, targets = np.delete(sources, fits), np.delete(targets, fits)
    add(mask, sources.size, generator, kind)


def _dealt(held: NDArray[np.intp], number: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """So many neurons in turn, those that hold fewer edges first, the order left to chance where they hold as many."""
    order = generator.permutation(held.size)
    return np.resize(order[np.argsort(held[order], kind="stable")], number)


def _perturbed(values: list[int], spread: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Each number as it is or, for half of them, a little more or less."""
    changes = generator.normal(0, spread, len(values)) * (generator.random(len(values)) < 0.5)
    return np.asarray(np.array(values) * np.exp(changes))
