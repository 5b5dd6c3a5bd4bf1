"""The first topologies of a search: the best members of the hand-derived families, controls, and the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from evaluators.keys import generator
from evo.bounds import Bounds
from evo.header import topology_file
from evo.settings import Settings
from evo.tune import Trial
from evo.variation import fill
from topologies.canonical import canonical
from topologies.expression import is_expression, resolve
from topologies.topology import Topology

FAMILIES = ("parallel_butterfly", "butterfly", "clos", "random_regular")
"""Where founders come from; random regular topologies are the control among them."""
PER_FAMILY = 6


@dataclass(frozen=True)
class Founder:
    """A topology to start from, in canonical form, and the family it is counted under."""

    family: str
    topology: Topology


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


def named(settings: Settings) -> dict[str, Topology]:
    """The founders and the baseline that a recipe names, by name.

    Raises
    ------
    ValueError
        When one cannot be read or has other ends than the recipe says.
    """
    names = (*settings.founders, *filter(None, [settings.baseline]))
    return {name: _sized(name, settings.n_in, settings.n_out) for name in names}


def topology_named(name: str) -> Topology:
    """The topology of a file or expression, or the champion of a run's folder.

    Raises
    ------
    ValueError
        When it is none of these, or the file or expression is refused.
    """
    return resolve(name if is_expression(name) else topology_file(Path(name)))


def _sized(name: str, n_in: int, n_out: int) -> Topology:
    topology = topology_named(name)
    if (topology.n_in, topology.n_out) != (n_in, n_out):
        raise ValueError(f"{name!r} is {topology.n_in} x {topology.n_out}, the recipe {n_in} x {n_out}")
    return topology
