"""The initial population: the best of the hand-derived families, a control, the evolved law, and the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from evaluators.rng import generator
from evo.algorithm.individual import SAMPLED, InitialMember
from evo.experiment.stack_members import divided
from evo.experiment.tune import Trial
from evo.storage.names import LAW, OF_SPACE, OWN
from evo.variation.bounds import Bounds
from evo.variation.breed import filled, sampled
from topologies.families.evolved import evolved
from topologies.families.rule import least_budget
from topologies.stack import AnyTopology, Layout, Sizes, Stack

FAMILIES = ("parallel_butterfly", "butterfly", "clos", "random_regular")
"""The families whose members are taken; random regular topologies are the control among them."""
PER_FAMILY = 6
WIRINGS = 3
"""Topologies of the evolved law; one of a model with several places, where candidates are dear."""


def initial_population(
    tuned: Mapping[str, Sequence[Trial]],
    own: Mapping[str, AnyTopology],
    bounds: Bounds,
    n_in: int,
    n_out: int,
    seed: int,
    layout: Layout | None = None,
) -> tuple[InitialMember, ...]:
    """The user's own topologies, then the best few of each family and what the evolved law gives.

    Each has exactly the budget and is within bounds. Members below the budget are filled up to it with random
    admissible edges. Where hidden widths are free, the best member at each choice of widths is among them. Where
    nothing fits, a few topologies are sampled. With a ``layout`` all are stacks.

    Raises
    ------
    ValueError
        When one of the user's own cannot be brought to the budget within the bounds, or nothing else can.
    """
    offered = [InitialMember(OWN, _own(name, topology, layout, bounds, seed)) for name, topology in own.items()]
    offered += [
        InitialMember(family, topology)
        for family in (*FAMILIES, *OF_SPACE)
        for topology in _chosen(list(tuned.get(family, ())), layout, bounds, seed)
    ]
    offered += [InitialMember(LAW, one) for one in _by_law(layout, bounds, n_in, n_out, seed)]
    if not offered:
        keys = (generator(seed, "founder", SAMPLED, number) for number in range(PER_FAMILY))
        drawn = (sampled((n_in, n_out), layout, bounds, key) for key in keys)
        offered = [InitialMember(SAMPLED, one.canonical) for one in drawn if one is not None]
    if not offered:
        raise ValueError(
            f"no topology to begin with is within the bounds: {_words(bounds)}; raise a bound or change the budget"
        )
    found: dict[str, InitialMember] = {}
    for member in offered:
        found.setdefault(member.topology.digest, member)
    return tuple(found.values())


def names_of_own(own: Mapping[str, AnyTopology], layout: Layout | None, bounds: Bounds, seed: int) -> dict[str, str]:
    """What the recipe calls the user's own members of the initial population, by their digests."""
    return {_own(name, topology, layout, bounds, seed).digest: name for name, topology in own.items()}


def _by_law(layout: Layout | None, bounds: Bounds, n_in: int, n_out: int, seed: int) -> Iterator[AnyTopology]:
    """What the law gives, where it fits; constants beyond the most edges are left out."""
    sizes, budgets = (((n_in, n_out),), [bounds.budget]) if layout is None else divided(layout, bounds.budget)[0]
    if any(part < least_budget(*size) for size, part in zip(sizes, budgets, strict=True)):
        return
    for wiring in range(WIRINGS if layout is None else 1):
        places = tuple(evolved(*size, part, wiring) for size, part in zip(sizes, budgets, strict=True))
        found = _filled(places[0] if layout is None else Stack(places), layout, bounds, seed)
        if found is not None:
            yield found


def _own(name: str, topology: AnyTopology, layout: Layout | None, bounds: Bounds, seed: int) -> AnyTopology:
    """One of the user's own, which must fit, else ValueError."""
    found = _filled(topology, layout, bounds, seed)
    if found is None:
        which = f"initial_population: {name!r} ({topology!r})"
        raise ValueError(f"{which} does not fit: it cannot become a connected topology of {_words(bounds)}")
    return found


def _chosen(trials: Sequence[Trial], layout: Layout | None, bounds: Bounds, seed: int) -> list[AnyTopology]:
    """The best few trials of a family that fit, and the best at every choice of hidden widths where those are free."""
    best = list(islice(_fitting(trials, layout, bounds, seed), PER_FAMILY))
    if layout is None or not layout.widths:
        return best
    by_sizes: dict[Sizes, list[Trial]] = {}
    for trial in trials:
        by_sizes.setdefault(trial.topology.sizes, []).append(trial)
    return best + [one for some in by_sizes.values() for one in islice(_fitting(some, layout, bounds, seed), 1)]


def _fitting(trials: Sequence[Trial], layout: Layout | None, bounds: Bounds, seed: int) -> Iterator[AnyTopology]:
    """The trials that have not too many edges as they are and can be filled up, in the order of ``trials``."""
    for trial in trials:
        if trial.topology.n_edges <= bounds.max_edges:
            found = _filled(trial.topology, layout, bounds, seed)
            if found is not None:
                yield found


def _filled(topology: AnyTopology, layout: Layout | None, bounds: Bounds, seed: int) -> AnyTopology | None:
    """The topology with exactly the budget, in canonical form; None where it has no room for it."""
    found = filled(topology, layout, bounds, generator(seed, "founder", topology.digest))
    return None if found is None else found.canonical


def _words(bounds: Bounds) -> str:
    return (
        f"{bounds.budget} trainable edges, depth <= {bounds.max_depth}, hidden width <= {bounds.max_width}, "
        f"edges <= {bounds.max_edges}"
    )
