"""Variation: pure functions that make new topologies from old ones, or from nothing.

Each takes a generator and returns a connected topology within bounds that spends exactly the budget, or None.
"""

from __future__ import annotations

import numpy as np

from evo.variation.bounds import Bounds
from evo.variation.crossover import crossover
from evo.variation.layers import insert_layer, remove_layer, share
from evo.variation.neurons import insert_neurons, permute, remove_neurons, shift_width
from evo.variation.proposal import Operator
from evo.variation.repair import fill
from evo.variation.rewire import exchange, freeze, move, rewire, swap, thaw
from evo.variation.sample import sample
from topologies.topology import Topology

__all__ = ["OPERATORS", "WEIGHTS", "Operator", "crossover", "fill", "mutate", "sample"]

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
}

OPERATORS: dict[str, Operator] = {name: operator for name, (operator, _) in _TABLE.items()}
"""Every operator with one parent, in a fixed order."""
WEIGHTS: dict[str, float] = {name: weight for name, (_, weight) in _TABLE.items()}
"""How often each is tried, relative to the others: single edges alone find little, shares and shapes more."""

_NAMES = tuple(OPERATORS)
_CHANCES = np.array(list(WEIGHTS.values())) / sum(WEIGHTS.values())
_TRIES = 30


def mutate(parent: Topology, bounds: Bounds, generator: np.random.Generator) -> tuple[str, Topology] | None:
    """A child of one parent, and the name of the operator that made it; None after 30 tries without one."""
    for chosen in generator.choice(len(_NAMES), size=_TRIES, p=_CHANCES):
        name = _NAMES[chosen]
        child = OPERATORS[name](parent, bounds, generator)
        if child is not None:
            return name, child
    return None
