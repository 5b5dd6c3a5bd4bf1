"""What would become of the layers of a model: which are made sparse, by what topology, and which are not, and why."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from torch import nn
from torch.nn.parameter import is_lazy

from topologies.models.changes import Change, Plan, Skip
from topologies.models.choice import Chooser
from topologies.models.kinds import WITHOUT_SPARSE_FORM, kind_of, sparse_kind_of
from topologies.models.obstacles import frozen, obstacle, owners_of
from topologies.models.place_choice import PlaceChooser
from topologies.models.places import names_of
from topologies.models.start import Fit
from topologies.models.targets import ALL, ALL_LINEAR, Patterns, chosen
from topologies.names import OtherSizesError, Source, stack_of


def plan(
    model: nn.Module,
    topology: Source | None = None,
    *,
    density: float | None = None,
    budget: int | None = None,
    targets: Patterns = ALL,
    exclude: Patterns = (),
    lift: bool = False,
    only_if_faster: bool = False,
    diagonal: bool = False,
    weights: Fit | None = None,
) -> Plan:
    """What converting a model would change; nothing is changed, and no weight is drawn.

    Parameters
    ----------
    model:
        Any PyTorch model.
    topology:
        A topology or its name, for layers of these sizes; an expression without sizes, such as
        ``"butterfly(depth=8)"``, which takes each layer's; or a family's name, such as ``"clos"``, for a density or a
        budget, whose best member each layer gets. Without one it is random regular. The places of a stack go, in
        order, to the layers of their sizes, each to the next there is.
    density, budget:
        Trainable weights of each layer at most, as a share of its dense weights in (0, 1) or as a number. Neither
        biases nor constants count.
    targets:
        ``"all"`` layers that have a sparse form, ``"all-linear"``, a regular expression that has to match a layer's
        whole name, or a list of names or their ends; a pattern that matches a module takes every layer in it.
    exclude:
        Layers to leave as they are, of those, by the same patterns.
    lift:
        Whether a topology of other sizes is brought to a layer's by :func:`topologies.resize`.
    only_if_faster:
        Whether layers that are predicted to train no faster than the dense one are left as they are.
    diagonal:
        Whether every topology ends in one weight more for each output, within a density or budget. Dense weights, which
        are small, can only be fitted with it where all layers of a topology have constants, as most families' do.
    weights:
        What :func:`topologies.models.convert` will start the edges with, if anything. Without it frozen layers are left
        as they are: their weights would be lost, and what is drawn in their place never trained.

    Raises
    ------
    ValueError
        When a pattern matches nothing, the topology is none or has other sizes than a layer, a place of a stack finds
        no layer of its size, or what is asked for is contradictory.

    Warns
    -----
    UserWarning
        When a lifted topology leaves inputs and outputs of a layer unconnected.
    """
    stack = stack_of(topology)
    if stack is not None and (density is not None or budget is not None or lift or diagonal):
        raise ValueError(
            "density, budget, lift and diagonal are for one topology: a stack says itself what every place gets"
        )
    chooser: Chooser | PlaceChooser = (
        Chooser.of(topology, density, budget, lift, only_if_faster, diagonal)
        if stack is None
        else PlaceChooser(stack, only_if_faster)
    )
    names = names_of(model)
    owners = owners_of(names)
    layers = {module: tuple(names[module]) for module in names if _is_layer(module, targets)}
    every_name = [name for places in layers.values() for name in places]
    wanted = set(every_name) if targets in (ALL, ALL_LINEAR) else chosen(targets, every_name, "targets")
    left = chosen(exclude, every_name, "exclude")

    def reason(module: nn.Module, places: tuple[str, ...]) -> str | None:
        """Why a layer is left as it is, where that is known before a topology is chosen for it."""
        if not left.isdisjoint(places):
            return "excluded"
        return obstacle(model, module, names, owners) or (frozen(module) if weights is None else None)

    entries = [
        entry
        for module, places in layers.items()
        if not wanted.isdisjoint(places)
        for entry in _entries(module, places, reason(module, places), chooser)
    ]
    if isinstance(chooser, PlaceChooser):
        chooser.check_all_given(entries)
    changes = tuple(entry for entry in entries if isinstance(entry, Change))
    within = tuple(f"{name}." for change in changes for name in change.names)  # parts that go with their layer
    skipped = tuple(entry for entry in entries if isinstance(entry, Skip) and not entry.names[0].startswith(within))
    _warn_of_unconnected(changes)
    return Plan(changes, skipped, sum(one.numel() for one in model.parameters() if not is_lazy(one)))


def _is_layer(module: nn.Module, targets: Patterns) -> bool:
    """Whether a module is a layer of the kinds that targets are about."""
    if targets == ALL_LINEAR:
        return isinstance(module, nn.Linear)
    return (kind_of(module) or sparse_kind_of(module)) is not None or isinstance(module, WITHOUT_SPARSE_FORM)


def _entries(
    module: nn.Module, places: tuple[str, ...], reason: str | None, chooser: Chooser | PlaceChooser
) -> list[Change] | list[Skip]:
    """What becomes of a layer: the changes of all its matrices, or why there is none, ``reason`` where it is known."""
    kind = kind_of(module)
    if reason is not None or kind is None:
        return [Skip(places, type(module).__name__, reason or "")]
    changes, matrices = [], kind.matrices(module)
    if isinstance(chooser, PlaceChooser) and len(matrices) > 1:
        return [Skip(places, type(module).__name__, "a stack's places are for layers of one matrix each")]
    for matrix in matrices:
        try:
            found = chooser.choice(matrix)
        except OtherSizesError as problem:
            raise OtherSizesError(f"{places[0]}: {problem}; or name the layers that it is for by targets") from None
        if isinstance(found, str):
            return [Skip(places, type(module).__name__, found)]
        sized, choice = found
        size = next(module.parameters()).element_size()
        changes.append(
            Change(
                places, kind.name, matrix.path, sized.n_in, sized.n_out, sized.n_dense, sized.n_beside, size, *choice
            )
        )
    return changes


def _warn_of_unconnected(changes: Sequence[Change]) -> None:
    worst = max(changes, key=lambda change: change.unconnected, default=None)
    if worst is not None and worst.unconnected > 0:
        warnings.warn(
            f"{worst.names[0]}: lifted so far, the topology leaves {worst.unconnected:.1%} of the pairs of an input "
            "and an output unconnected; a family's topology, built at the size, connects all (a density or a budget)",
            stacklevel=3,
        )
