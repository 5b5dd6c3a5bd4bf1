"""What people would try where inputs have places: patches, and hand-derived topologies re-ordered by the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from evaluators.rng import generator
from evo.experiment.baselines import scores
from evo.experiment.stack_members import by_dense_size, widths_tried
from evo.experiment.tune import Trial
from evo.settings import Settings
from evo.storage import names
from evo.storage.names import LOCAL_BUTTERFLY, PATCHES, REORDERED
from evo.storage.records import PhaseStarted
from evo.storage.results import Finalist
from evo.storage.run import Run
from evo.variation.founders import local_butterfly, patches, reordered
from evo.variation.places import space_of_place
from evo.variation.space import Space
from topologies.stack import AnyTopology, Sizes, Stack
from topologies.topology import Topology

_PARTS = (1.0, 0.75, 0.5)
"""Trainable edges of patches, in parts of the budget; what is left out is added at random in the initial population."""
_SHARES = (0.9, 0.75, 0.5)
"""Shares of near edges in mixtures."""


def space_of(settings: Settings) -> Space | None:
    """Where the recipe's inputs are; None where it does not say.

    Raises
    ------
    ValueError
        When the data have other inputs than the topologies.
    """
    given = settings.space
    if given is None:
        return None
    if given.input_shape is not None:
        return Space.of_grid(given.input_shape)
    if given.affinity != "data" or settings.training is None:
        return None
    from evaluators.training import Data

    data = Data.read(settings.training.data, settings.training.task)
    if data.inputs != settings.n_in:
        raise ValueError(
            f"space.affinity: the data have {data.inputs} inputs and the topologies {settings.n_in}, so that nobody "
            'knows which is which: write affinity = "none"'
        )
    return Space.of_data(data.train.x)


def tuned_in_space(
    run: Run[Settings], space: Space, tuned: Mapping[str, Sequence[Trial]]
) -> dict[str, tuple[Trial, ...]]:
    """Trials of patches, of local butterflies, and of the families' best members re-ordered, each best first.

    Of a family as many members are tried re-ordered as there are finalists: those that were best as they are.
    """
    settings = run.settings
    found = {PATCHES: _trials(run, PATCHES, list(_patches(space, settings)))}
    found[LOCAL_BUTTERFLY] = _trials(run, LOCAL_BUTTERFLY, list(_local_butterflies(space, settings)))
    for family, name in REORDERED.items():
        best = [trial for trial in tuned[family] if trial.score is not None][: settings.fidelity.finalists]
        again = [Finalist(f"re-ordered {one.expression}", _reordered(one.topology, space)) for one in best]
        found[name] = _trials(run, name, again)
    return found


def sizes_in_space(settings: Settings, families: Mapping[str, int]) -> dict[str, int]:
    """How many trials :func:`tuned_in_space` makes, at most, where so many are made of each family."""
    if settings.space is None or (settings.space.input_shape is None and settings.space.affinity != "data"):
        return {}
    of_family = {name: min(families[family], settings.fidelity.finalists) for family, name in REORDERED.items()}
    tried, most = _sizes(settings), 0
    for sizes in tried:
        budgets = by_dense_size(sizes, settings.budget)
        if all(edges >= max(size) for size, edges in zip(sizes, budgets, strict=True)):
            most += max(0, (max(map(max, sizes)) - 1).bit_length() - 2)
    return {PATCHES: len(tried) * (len(_PARTS) + len(_SHARES)), LOCAL_BUTTERFLY: most, **of_family}


def _patches(space: Space, settings: Settings) -> Iterator[Finalist]:
    """Patches of several sizes, and mixtures of patches with edges that go anywhere."""
    for number, (part, share) in enumerate((*((part, 1.0) for part in _PARTS), *((1.0, share) for share in _SHARES))):
        for sizes in _sizes(settings):
            draws = generator(settings.seed, "founder", PATCHES, number)
            edges = round(part * settings.budget)
            topology = _at_places(space, settings, sizes, edges, partial(_patch, draws=draws, share=share))
            if topology is not None:
                fan = edges / sum(n_out for _, n_out in sizes)
                label = f"patches of {fan:.3g} inputs" + (f", {share:.0%} of them near" if share < 1 else "")
                yield Finalist(label, topology)


def _local_butterflies(space: Space, settings: Settings) -> Iterator[Finalist]:
    """Butterflies of as many layers as the budget has, whose strides stop short of the whole order."""
    found: dict[str, Finalist] = {}
    for sizes in _sizes(settings):
        for digits in range(2, (max(map(max, sizes)) - 1).bit_length()):
            topology = _at_places(space, settings, sizes, settings.budget, partial(_strided, digits=digits))
            if topology is not None:
                label = f"{topology.depth} layers that change the {digits} lowest digits"
                found.setdefault(topology.digest, Finalist(label, topology))
    yield from found.values()


def _patch(near: Space, n_in: int, n_out: int, edges: int, draws: np.random.Generator, share: float) -> Topology | None:
    """Patches for one place, None where it has too few edges for them."""
    return patches(near, n_out, edges, draws, share) if edges >= max(n_in, n_out) else None


def _strided(near: Space, n_in: int, n_out: int, edges: int, digits: int) -> Topology | None:
    """The deepest local butterfly for one place, re-ordered; None where not one layer fits."""
    depth = edges // max(n_in, n_out)
    while depth and (made := local_butterfly(n_in, n_out, depth, digits)).n_trainable > edges:
        depth -= 1
    return reordered(made, near.order) if depth else None


def _sizes(settings: Settings) -> list[Sizes]:
    """The sizes at which these are made: the recipe's, and where widths are free those at multiples of its widths."""
    return widths_tried(settings.places.layout) if settings.places else [settings.sizes]


def _at_places(
    space: Space,
    settings: Settings,
    sizes: Sizes,
    budget: int,
    make: Callable[[Space, int, int, int], Topology | None],
) -> AnyTopology | None:
    """What ``make`` gives for every place, whose inputs are where the outputs of the place before are; None if it
    gives none for one of them.

    Each place has a part of the budget in proportion to its dense weights. Where places are not in a chain nobody knows
    where the inputs of later ones are.
    """
    found: list[Topology] = []
    for (n_in, n_out), edges in zip(sizes, by_dense_size(sizes, budget), strict=True):
        if found and found[-1].n_out != n_in:
            return None
        space = space.after(found[-1]) if found else space
        one = make(space, n_in, n_out, edges)
        if one is None:
            return None
        found.append(one)
    return found[0] if settings.places is None else Stack(tuple(found))


def _reordered(topology: AnyTopology, space: Space) -> AnyTopology:
    """A topology re-ordered by where its inputs are; of a stack every place, as far as that is known."""
    if isinstance(topology, Topology):
        return reordered(topology, space.order)
    places: list[Topology] = []
    for place in topology.places:
        near = space_of_place(space, [*places, place], len(places))
        places.append(place if near is None else reordered(place, near.order))
    return Stack(tuple(places))


def _trials(run: Run[Settings], name: str, tried: Sequence[Finalist]) -> tuple[Trial, ...]:
    """Topologies scored on the search targets, best first."""
    run.show(PhaseStarted(names.tuning(name)))
    made = [Trial(number, one.label, one.topology.canonical) for number, one in enumerate(tried)]
    done = [replace(trial, score=score) for trial, score in zip(made, scores(run, name, made), strict=True)]
    return tuple(sorted(done, key=lambda trial: (trial.error, trial.number)))
