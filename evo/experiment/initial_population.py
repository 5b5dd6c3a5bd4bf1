"""The first topologies of a search: the best members of the hand-derived families, controls, and the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from evaluators.rng import generator
from evo.algorithm.individual import Founder
from evo.experiment.tune import Trial
from evo.variation import fill
from evo.variation.bounds import Bounds
from topologies.canonical import canonical
from topologies.topology import Topology

FAMILIES = ("parallel_butterfly", "butterfly", "clos", "random_regular")
"""Where founders come from; random regular topologies are the control among them."""
PER_FAMILY = 6


def founders(
    tuned: Mapping[str, Sequence[Trial]], own: Mapping[str, Topology], bounds: Bounds, seed: int
) -> tuple[Founder, ...]:
    """The user's own topologies, then the best few of each family, each with exactly the budget and within bounds.

    Members below the budget are filled up to it with random admissible edges.

    Raises
    ------
    ValueError
        When one of the user's own cannot be brought to the budget within the bounds, or no founder at all can.
    """
    offered = [Founder("own", _own(name, topology, bounds, seed)) for name, topology in own.items()]
    offered += [
        Founder(family, topology)
        for family in FAMILIES
        for topology in islice(_fitting(tuned.get(family, ()), bounds, seed), PER_FAMILY)
    ]
    if not offered:
        raise ValueError(f"no founder is within the bounds: {_words(bounds)}; raise a bound or change the budget")
    found: dict[str, Founder] = {}
    for founder in offered:
        found.setdefault(founder.topology.digest, founder)
    return tuple(found.values())


def _own(name: str, topology: Topology, bounds: Bounds, seed: int) -> Topology:
    """One of the user's own, which must fit, else ValueError."""
    filled = _filled(topology, bounds, seed)
    if filled is None:
        which = f"founder {name!r} ({topology!r})"
        raise ValueError(f"{which} does not fit: it cannot become a connected topology of {_words(bounds)}")
    return filled


def _fitting(trials: Sequence[Trial], bounds: Bounds, seed: int) -> Iterator[Topology]:
    """The trials that have not too many edges as they are and can be filled up, in the order of ``trials``."""
    for trial in trials:
        if trial.topology.n_edges <= bounds.max_edges:
            filled = _filled(trial.topology, bounds, seed)
            if filled is not None:
                yield filled


def _filled(topology: Topology, bounds: Bounds, seed: int) -> Topology | None:
    """The topology with exactly the budget, in canonical form; None where it has no room for it."""
    filled = fill(topology, bounds, generator(seed, "founder", topology.digest))
    return None if filled is None else canonical(filled)


def _words(bounds: Bounds) -> str:
    return (
        f"{bounds.budget} trainable edges, depth <= {bounds.max_depth}, hidden width <= {bounds.max_width}, "
        f"edges <= {bounds.max_edges}"
    )
