"""What people would try where inputs have places: patches, and hand-derived topologies re-ordered by the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from evaluators.rng import generator
from evo.experiment.baselines import scores
from evo.experiment.tune import Trial
from evo.settings import Settings
from evo.storage import names
from evo.storage.names import LOCAL_BUTTERFLY, PATCHES, REORDERED
from evo.storage.records import PhaseStarted
from evo.storage.results import Finalist
from evo.storage.run import Run
from evo.variation.founders import local_butterfly, patches, reordered
from evo.variation.space import Space

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
    settings, order = run.settings, space.order
    found = {PATCHES: _trials(run, PATCHES, list(_patches(space, settings)))}
    found[LOCAL_BUTTERFLY] = _trials(run, LOCAL_BUTTERFLY, list(_local_butterflies(space, settings)))
    for family, name in REORDERED.items():
        best = [trial for trial in tuned[family] if trial.score is not None][: settings.fidelity.finalists]
        again = [Finalist(f"re-ordered {one.expression}", reordered(one.topology, order)) for one in best]
        found[name] = _trials(run, name, again)
    return found


def sizes_in_space(settings: Settings, families: Mapping[str, int]) -> dict[str, int]:
    """How many trials :func:`tuned_in_space` makes, at most, where so many are made of each family."""
    if settings.space is None or (settings.space.input_shape is None and settings.space.affinity != "data"):
        return {}
    of_family = {name: min(families[family], settings.fidelity.finalists) for family, name in REORDERED.items()}
    depth = settings.budget // max(settings.n_in, settings.n_out)
    digits = (max(settings.n_in, settings.n_out) - 1).bit_length() - 2
    return {PATCHES: len(_PARTS) + len(_SHARES), LOCAL_BUTTERFLY: max(0, digits) if depth else 0, **of_family}


def _patches(space: Space, settings: Settings) -> Iterator[Finalist]:
    """Patches of several sizes, and mixtures of patches with edges that go anywhere."""
    n_in, n_out, budget = settings.n_in, settings.n_out, settings.budget
    for number, (part, share) in enumerate((*((part, 1.0) for part in _PARTS), *((1.0, share) for share in _SHARES))):
        edges = round(part * budget)
        if edges >= max(n_in, n_out):
            draws = generator(settings.seed, "founder", PATCHES, number)
            label = f"patches of {edges / n_out:.3g} inputs" + (f", {share:.0%} of them near" if share < 1 else "")
            yield Finalist(label, patches(space, n_out, edges, draws, share))


def _local_butterflies(space: Space, settings: Settings) -> Iterator[Finalist]:
    """Butterflies of as many layers as the budget has, whose strides stop short of the whole order."""
    n_in, n_out = settings.n_in, settings.n_out
    found: dict[str, Finalist] = {}
    for digits in range(2, (max(n_in, n_out) - 1).bit_length()):
        depth = settings.budget // max(n_in, n_out)
        while depth and (made := local_butterfly(n_in, n_out, depth, digits)).n_trainable > settings.budget:
            depth -= 1
        if depth:
            topology = reordered(made, space.order)
            found.setdefault(
                topology.digest, Finalist(f"{depth} layers that change the {digits} lowest digits", topology)
            )
    yield from found.values()


def _trials(run: Run[Settings], name: str, tried: Sequence[Finalist]) -> tuple[Trial, ...]:
    """Topologies scored on the search targets, best first."""
    run.show(PhaseStarted(names.tuning(name)))
    made = [Trial(number, one.label, one.topology.canonical) for number, one in enumerate(tried)]
    done = [replace(trial, score=score) for trial, score in zip(made, scores(run, name, made), strict=True)]
    return tuple(sorted(done, key=lambda trial: (trial.error, trial.number)))
