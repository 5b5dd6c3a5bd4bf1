"""Random stacks: hidden widths where they are free, the division of the budget, and a topology for every place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evo.variation.bounds import Bounds
from evo.variation.edges import apportion
from evo.variation.fit_stack import admits
from evo.variation.sample import sample
from evo.variation.space import Space, behind
from topologies.stack import Layout, Sizes, Stack
from topologies.topology import Topology


def sample_stack(
    layout: Layout, bounds: Bounds, generator: np.random.Generator, space: Space | None = None
) -> Stack | None:
    """A random stack: hidden widths where they are free, the division of the budget, then a topology for every place.

    Half of those whose places have one size share one topology. None where none was found.
    """
    sizes = _widths(layout, generator)
    shares = np.array(_dense(sizes), dtype=np.float64) ** generator.uniform(0.5, 1.0)
    if len(set(sizes)) == 1 and bounds.budget % len(sizes) == 0 and generator.random() < 0.5:
        one = _sampled(sizes[0], bounds.budget // len(sizes), bounds, len(sizes), generator, space)
        shared = None if one is None else Stack((one,) * len(sizes))
        return shared if shared is not None and admits(shared, layout, bounds) else None
    shares *= np.exp(generator.normal(0.0, 0.4, len(sizes)))
    fewest = sum if bounds.connected else max
    least = np.minimum([fewest(size) for size in sizes], _dense(sizes))
    if least.sum() > bounds.budget:
        return None
    budgets = least + apportion(bounds.budget - int(least.sum()), shares, _dense(sizes) - least)
    places: list[Topology] = []
    for size, budget in zip(sizes, budgets, strict=True):
        one = _sampled(size, int(budget), bounds, len(sizes), generator, behind(space, places, size[0]))
        if one is None:
            return None
        places.append(one)
    stack = Stack(tuple(places))
    return stack if admits(stack, layout, bounds) else None


def _widths(layout: Layout, generator: np.random.Generator) -> Sizes:
    """The layout's sizes, or where widths are free log-uniform ones."""
    if not layout.widths:
        return layout.sizes
    drawn = [int(np.exp(generator.uniform(np.log(least), np.log(most + 1)))) for least, most in layout.widths]
    return layout.of_widths(drawn)


def _dense(sizes: Sizes) -> NDArray[np.int64]:
    return np.array([n_in * n_out for n_in, n_out in sizes])


def _sampled(
    size: tuple[int, int],
    budget: int,
    bounds: Bounds,
    places: int,
    generator: np.random.Generator,
    space: Space | None,
) -> Topology | None:
    """A topology for one place, with its part of the edges, and of the depth at most."""
    edges = max(budget, bounds.max_edges * budget // bounds.budget)
    room = replace(bounds, budget=budget, max_edges=edges, max_depth=max(1, bounds.max_depth // places))
    return sample(*size, room, generator, space)
