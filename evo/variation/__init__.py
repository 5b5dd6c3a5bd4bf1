"""Variation: pure functions that make new topologies from old ones, or from nothing.

Each takes a generator and returns a topology within bounds that spends exactly the budget, connected where the bounds
ask for it, or None. Where inputs have places there are more operators, made for a :class:`~evo.variation.space.Space`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from evo.variation.bounds import Bounds
from evo.variation.crossover import crossover
from evo.variation.layers import insert_layer, remove_layer, share
from evo.variation.local import channels, copy, mixture, rewire_far, rewire_near, window
from evo.variation.neurons import insert_neurons, permute, remove_neurons, shift_width
from evo.variation.proposal import Operator
from evo.variation.redraw import redraw
from evo.variation.repair import fill
from evo.variation.rewire import exchange, freeze, move, rewire, swap, thaw
from evo.variation.sample import sample
from evo.variation.space import Space
from evo.variation.strides import strides, swap_blocks
from topologies.topology import Topology

__all__ = ["OPERATORS", "WEIGHTS", "Operator", "Space", "crossover", "fill", "mutate", "of_space", "redraw", "sample"]

_TABLE: dict[str, tuple[Operator, float]] = {
    "rewire": (rewire, 2.0),
    "swap": (swap, 1.0),
    "move": (move, 1.0),
    "exchange": (exchange, 1.0),
    "freeze": (freeze, 1.0),
    "thaw": (thaw, 1.0),
    "insert_layer": (insert_layer, 1.5),
    "remove_layer": (remove_layer, 1.5),
    "share": (share, 3.0),
    "insert_neurons": (insert_neurons, 1.5),
    "remove_neurons": (remove_neurons, 1.5),
    "shift_width": (shift_width, 1.5),
    "permute": (permute, 1.0),
    "redraw": (redraw, 10.0),
}

OPERATORS: dict[str, Operator] = {name: operator for name, (operator, _) in _TABLE.items()}
"""Every operator with one parent, in a fixed order."""
WEIGHTS: dict[str, float] = {name: weight for name, (_, weight) in _TABLE.items()}
"""How often each is tried, relative to the others, before anything is known of their success in a search: single edges
alone find little, shares and shapes more, and statistics with all edges drawn anew most."""

_OF_SPACE: dict[str, tuple[Callable[[Space], Operator], float]] = {
    "rewire_near": (rewire_near, 4.0),
    "rewire_far": (rewire_far, 1.0),
    "window": (window, 4.0),
    "channels": (channels, 2.0),
    "copy": (copy, 2.0),
    "mixture": (mixture, 2.0),
    "strides": (strides, 2.0),
    "swap_blocks": (swap_blocks, 1.0),
}
_REDRAW_IN_SPACE = 1.5
"""Where inputs have places the wiring counts, which this draws at random."""

_TRIES = 30


def of_space(space: Space) -> dict[str, tuple[Operator, float]]:
    """Every operator with one parent where inputs have places, and how often each is tried."""
    made = {name: (make(space), weight) for name, (make, weight) in _OF_SPACE.items()}
    return {**_TABLE, "redraw": (redraw, _REDRAW_IN_SPACE), **made}


def mutate(
    parent: Topology,
    bounds: Bounds,
    generator: np.random.Generator,
    space: Space | None = None,
    success: Mapping[str, float] | None = None,
) -> tuple[str, Topology] | None:
    """A child of one parent, and the name of the operator that made it; None after 30 tries without one.

    ``space`` says where the parent's inputs are, and adds the operators that need to know. Operators are tried as often
    as their weights say, times their ``success`` where it is known.
    """
    table = _TABLE if space is None else of_space(space)
    names = list(table)
    weights = np.array([weight * (success or {}).get(name, 1.0) for name, (_, weight) in table.items()])
    for chosen in generator.choice(len(names), size=_TRIES, p=weights / weights.sum()):
        child = table[names[chosen]][0](parent, bounds, generator)
        if child is not None:
            return names[chosen], child
    return None
