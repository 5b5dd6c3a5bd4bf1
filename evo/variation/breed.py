"""What a search breeds by: the operators of topologies or, for a model with several places, those of stacks.

This is the one spot where the two meet; whoever breeds need not know which it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evo.variation import crossover, fill, mutate, sample
from evo.variation.bounds import Bounds
from evo.variation.places import crossover_stack, fill_stack, mutate_stack
from evo.variation.sample_stack import sample_stack
from evo.variation.space import Space
from topologies.stack import AnyTopology, Layout, Stack


def sampled(
    size: tuple[int, int],
    layout: Layout | None,
    bounds: Bounds,
    generator: np.random.Generator,
    space: Space | None = None,
) -> AnyTopology | None:
    """A random topology of a size or, where there is a layout, a random stack; None where none was found.

    ``space`` says where the inputs of a topology are, or of a stack's first place.
    """
    if layout is None:
        return sample(*size, bounds, generator, space)
    return sample_stack(layout, bounds, generator, space)


def mutated(
    parent: AnyTopology,
    layout: Layout | None,
    bounds: Bounds,
    generator: np.random.Generator,
    space: Space | None = None,
    success: Mapping[str, float] | None = None,
) -> tuple[str, AnyTopology] | None:
    """A child of one parent, and the name of the operator that made it; None where none was found.

    ``success`` is that of operators in this search, by which they are tried more or less often.
    """
    if isinstance(parent, Stack):
        return mutate_stack(parent, _of(layout), bounds, generator, space, success)
    return mutate(parent, bounds, generator, space, success)


def crossed(
    parents: Sequence[AnyTopology], layout: Layout | None, bounds: Bounds, generator: np.random.Generator
) -> AnyTopology | None:
    """A child of two parents, None where nothing new comes of it."""
    first, second = parents
    if isinstance(first, Stack) and isinstance(second, Stack):
        return crossover_stack(first, second, _of(layout), bounds, generator)
    if isinstance(first, Stack) or isinstance(second, Stack):
        raise ValueError("a stack and a topology cannot be crossed")
    return crossover(first, second, bounds, generator)


def filled(
    topology: AnyTopology, layout: Layout | None, bounds: Bounds, generator: np.random.Generator
) -> AnyTopology | None:
    """A topology or stack below the budget filled up to it, None where it does not fit."""
    if isinstance(topology, Stack):
        return fill_stack(topology, _of(layout), bounds, generator)
    return fill(topology, bounds, generator)


def _of(layout: Layout | None) -> Layout:
    if layout is None:
        raise ValueError("a stack is bred where there is a layout that says which places the model has")
    return layout
