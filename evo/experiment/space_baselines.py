"""What people would try where inputs have places: patches, and hand-derived topologies re-ordered by the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from evaluators.rng import generator
from evo.experiment.baselines import scores
from evo.experiment.stack_members import divided
from evo.experiment.tune import Trial
from evo.settings import Settings
from evo.storage import names
from evo.storage.names import LOCAL_BUTTERFLY, PATCHES, REORDERED
from evo.storage.records import PhaseStarted
from evo.storage.results import Finalist
from evo.storage.run import Run
from evo.variation.edges import Indices
from evo.variation.founders import local_butterfly, patches, reordered
from evo.variation.space import Space
from topologies.stack import AnyTopology, Sizes, Stack, size_text
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
        When the data have other inputs than the topologies, or memory is too small for all pairs of inputs.
    """
    given = settings.space
    if given is None:
        return None
    if given.input_shape is not None:
        given.check_memory(settings.n_in)
        return Space.of_grid(given.input_shape)
    if given.affinity != "data" or settings.training is None:
        return None
    from evaluators.training import Data

    training = settings.training
    data = Data.read(training.data, training.task, training.examples)
    if data.inputs != settings.n_in:
        raise ValueError(
            f"space.affinity: the data have {data.inputs} inputs and the topologies {settings.n_in}, so that nobody "
            'knows which is which: write affinity = "none"'
        )
    given.check_memory(settings.n_in)
    return Space.of_data(data.train.x)


def tuned_in_space(
    run: Run[Settings], space: Space, tuned: Mapping[str, Sequence[Trial]]
) -> dict[str, tuple[Trial, ...]]:
    """Trials of patches, of local butterflies, and of the families' best members re-ordered, each best first.

    Of a family as many members are tried re-ordered as there are finalists: those that were best as they are.
    """
    settings, order = run.settings, space.order
    found = {PATCHES: _trials(run, PATCHES, list(_patches(space, settings)))}
    found[LOCAL_BUTTERFLY] = _trials(run, LOCAL_BUTTERFLY, list(_local_butterflies(space, settings)))
    for family, name in REORDERED.items():
        best = [trial for trial in tuned[family] if trial.score is not None][: settings.fidelity.finalists]
        again = [Finalist(f"re-ordered {one.expression}", reordered_everywhere(one.topology, order)) for one in best]
        found[name] = _trials(run, name, again)
    return found


def sizes_in_space(settings: Settings, families: Mapping[str, int]) -> dict[str, int]:
    """How many trials :func:`tuned_in_space` makes, at most, where so many are made of each family."""
    if settings.space is None or (settings.space.input_shape is None and settings.space.affinity != "data"):
        return {}
    of_family = {name: min(families[family], settings.fidelity.finalists) for family, name in REORDERED.items()}
    ways = _ways(settings)
    wide = max(max(size) for sizes, _ in ways for size in sizes)
    patches = len(ways) * (len(_PARTS) + len(_SHARES))
    return {PATCHES: patches, LOCAL_BUTTERFLY: len(ways) * max(0, (wide - 1).bit_length() - 2), **of_family}


def _ways(settings: Settings) -> list[tuple[Sizes, list[int]]]:
    """Sizes of all places and how many trainable edges each may have: of one place, the recipe's own."""
    if settings.layout is None:
        return [(settings.sizes, [settings.budget])]
    return divided(settings.layout, settings.budget)


def _patches(space: Space, settings: Settings) -> Iterator[Finalist]:
    """Patches of several sizes, and mixtures of patches with edges that go anywhere, the same in all places."""
    shares = (*((part, 1.0) for part in _PARTS), *((1.0, share) for share in _SHARES))
    for way, (sizes, budgets) in enumerate(_ways(settings)):
        for number, (part, share) in enumerate(shares):
            draws = generator(settings.seed, "founder", PATCHES, *([way] if way else []), number)
            places: list[Topology] = []
            fans, here = [], space
            for size, budget in zip(sizes, budgets, strict=True):
                edges = round(part * budget)
                if edges < max(size) or len(here) != size[0]:
                    break
                fans.append(f"{edges / size[1]:.3g}")
                places.append(patches(here, size[1], edges, draws, share))
                here = here.after(places[-1])
            if len(places) == len(sizes):
                near = f", {share:.0%} of them near" if share < 1 else ""
                yield Finalist(
                    f"patches of {' and '.join(dict.fromkeys(fans))} inputs{near}{_about(sizes)}", _of(places, settings)
                )


def _local_butterflies(space: Space, settings: Settings) -> Iterator[Finalist]:
    """Butterflies of as many layers as the budget has, whose strides stop short of the whole order."""
    found: dict[str, Finalist] = {}
    for sizes, budgets in _ways(settings):
        wide = max(max(size) for size in sizes)
        for digits in range(2, (wide - 1).bit_length()):
            made = [_local_butterfly(*size, budget, digits) for size, budget in zip(sizes, budgets, strict=True)]
            places = [one for one in made if one is not None]
            if len(places) == len(sizes):
                topology = reordered_everywhere(_of(places, settings), space.order)
                depths = " and ".join(dict.fromkeys(str(one.depth) for one in places))
                label = f"{depths} layers that change the {digits} lowest digits{_about(sizes)}"
                found.setdefault(topology.digest, Finalist(label, topology))
    yield from found.values()


def _local_butterfly(n_in: int, n_out: int, budget: int, digits: int) -> Topology | None:
    """The deepest within a budget, None where not even one layer is."""
    for depth in range(budget // max(n_in, n_out), 0, -1):
        made = local_butterfly(n_in, n_out, depth, digits)
        if made.n_trainable <= budget:
            return made
    return None


def reordered_everywhere(topology: AnyTopology, order: Indices) -> AnyTopology:
    """A topology re-ordered, or every place of a stack: a square place's outputs are then in its inputs' places."""
    if isinstance(topology, Topology):
        return reordered(topology, order)
    places: list[Topology] = []
    for place in topology.places:
        places.append(reordered(place, order) if len(order) == place.n_in else place)
        if place.n_in != place.n_out:
            order = np.arange(place.n_out)  # its outputs stand as the family has them
    return Stack(tuple(places))


def _of(places: Sequence[Topology], settings: Settings) -> AnyTopology:
    """The topology of a recipe's only place, or a stack; a single place whose width is free has a stack, too."""
    return places[0] if settings.places is None else Stack(tuple(places))


def _about(sizes: Sizes) -> str:
    """The sizes of several places, in a label."""
    return "" if len(sizes) == 1 else f", {size_text(sizes)}"


def _trials(run: Run[Settings], name: str, tried: Sequence[Finalist]) -> tuple[Trial, ...]:
    """Topologies scored on the search targets, best first."""
    run.show(PhaseStarted(names.tuning(name)))
    made = [Trial(number, one.label, one.topology.canonical) for number, one in enumerate(tried)]
    done = [replace(trial, score=score) for trial, score in zip(made, scores(run, name, made), strict=True)]
    return tuple(sorted(done, key=lambda trial: (trial.error, trial.number)))
