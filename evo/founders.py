"""The first topologies of a search: the best members of the hand-derived families, controls, and the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluators.keys import generator
from evo.bounds import Bounds
from evo.tune import Trial
from evo.variation import fill
from topologies.canonical import canonical
from topologies.expression import resolve
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
    tuned: Mapping[str, Sequence[Trial]], own: Sequence[str], n_in: int, n_out: int, bounds: Bounds, seed: int
) -> tuple[Founder, ...]:
    """The user's own topologies, then the best few of each family, each with exactly the budget and within bounds.

    Members below the budget are filled up to it with random admissible edges.

    Raises
    ------
    ValueError
        When one of the user's own has other ends than n_in x n_out, or no founder at all is within the bounds.
    """
    offered = [Founder("own", sized(text, n_in, n_out)) for text in own]
    offered += [
        Founder(family, trial.topology) for family in FAMILIES for trial in _best(tuned.get(family, ()), bounds)
    ]
    found: dict[str, Founder] = {}
    for number, founder in enumerate(offered):
        filled = fill(founder.topology, bounds, generator(seed, "founder", number))
        if filled is not None:
            whole = canonical(filled)
            found.setdefault(whole.digest, Founder(founder.family, whole))
        elif number < len(own):
            raise ValueError(f"founder {own[number]!r} ({founder.topology!r}) does not fit: it needs {_words(bounds)}")
    if not found:
        raise ValueError(f"no founder is within the bounds: {_words(bounds)}; raise a bound or change the budget")
    return tuple(found.values())


def _best(trials: Sequence[Trial], bounds: Bounds) -> list[Trial]:
    """The best trials that do not already exceed a bound; ``trials`` come best first."""
    return [
        trial
        for trial in trials
        if trial.topology.depth <= bounds.max_depth
        and max(trial.topology.widths[1:-1], default=0) <= bounds.max_width
        and trial.topology.n_edges <= bounds.max_edges
    ][:PER_FAMILY]


def _words(bounds: Bounds) -> str:
    return (
        f"{bounds.budget} trainable edges, depth <= {bounds.max_depth}, hidden width <= {bounds.max_width}, "
        f"edges <= {bounds.max_edges}"
    )


def sized(text: str, n_in: int, n_out: int) -> Topology:
    """The topology of a file or expression, which must be ``n_in x n_out``, else ValueError."""
    topology = resolve(text)
    if (topology.n_in, topology.n_out) != (n_in, n_out):
        raise ValueError(f"{text!r} is {topology.n_in} x {topology.n_out}, the recipe {n_in} x {n_out}")
    return topology
