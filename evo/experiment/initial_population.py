"""The initial population: the best members of the hand-derived families, a control, and the user's own topologies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from evaluators.rng import generator
from evo.algorithm.individual import SAMPLED, InitialMember
from evo.experiment.tune import Trial
from evo.storage.names import OF_SPACE
from evo.variation import fill, sample
from evo.variation.bounds import Bounds
from topologies.canonical import canonical
from topologies.topology import Topology

FAMILIES = ("parallel_butterfly", "butterfly", "clos", "random_regular")
"""The families whose members are taken; random regular topologies are the control among them."""
PER_FAMILY = 6
OWN = "own"
"""The family of the topologies that the recipe names."""


def initial_population(
    tuned: Mapping[str, Sequence[Trial]], own: Mapping[str, Topology], bounds: Bounds, n_in: int, n_out: int, seed: int
) -> tuple[InitialMember, ...]:
    """The user's own topologies, then the best few of each family, each with exactly the budget and within bounds.

    Members below the budget are filled up to it with random admissible edges. Where no family has a member that fits,
    a few topologies are sampled.

    Raises
    ------
    ValueError
        When one of the user's own cannot be brought to the budget within the bounds, or nothing else can.
    """
    offered = [InitialMember(OWN, _own(name, topology, bounds, seed)) for name, topology in own.items()]
    offered += [
        InitialMember(family, topology)
        for family in (*FAMILIES, *OF_SPACE)
        for topology in islice(_fitting(tuned.get(family, ()), bounds, seed), PER_FAMILY)
    ]
    if not offered:
        keys = (generator(seed, "founder", SAMPLED, number) for number in range(PER_FAMILY))
        sampled = (sample(n_in, n_out, bounds, key) for key in keys)
        offered = [InitialMember(SAMPLED, one.canonical) for one in sampled if one is not None]
    if not offered:
        raise ValueError(
            f"no topology to begin with is within the bounds: {_words(bounds)}; raise a bound or change the budget"
        )
    found: dict[str, InitialMember] = {}
    for member in offered:
        found.setdefault(member.topology.digest, member)
    return tuple(found.values())


def _own(name: str, topology: Topology, bounds: Bounds, seed: int) -> Topology:
    """One of the user's own, which must fit, else ValueError."""
    filled = _filled(topology, bounds, seed)
    if filled is None:
        which = f"initial_population: {name!r} ({topology!r})"
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
