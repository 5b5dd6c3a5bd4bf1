"""A whole model converted by a plan, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from topologies.models.changes import Change, Plan
from topologies.models.kinds import kind_of
from topologies.models.obstacles import frozen, own_way
from topologies.models.places import keep_nested_tensors_out, modules_at, swap
from topologies.models.plan import plan
from topologies.models.start import Fit
from topologies.names import Source


def convert(
    model: nn.Module,
    plan_or_topology: Plan | Source | None = None,
    *,
    weights: Fit | None = None,
    **options: Any,
) -> nn.Module:
    """Make layers of a model sparse, in place, and return it.

    >>> model = convert(model, plan(model, density=0.1))
    >>> other = convert(other, "champion.safetensors", targets=r"blocks\\.\\d+\\.mlp", lift=True)
    >>> trained = convert(trained, plan(trained, density=0.3, diagonal=True), weights=fit)

    All sparse layers are built before the first takes its place, so a model is converted or left as it is. The edges
    start from a fresh draw, in the order of the plan, so that equal seeds of torch give equal models; or near the dense
    weights, where a fit is given. Biases, devices, dtypes, modes, what is frozen, and forward and backward hooks, with
    the handles that remove them, are kept. A layer that stands at several places of the model is replaced once, at all
    of them. Make the optimizer, and wrap or shard the model, afterwards: both hold parameters. A model that is itself
    such a layer cannot be changed in place: what is returned stands for it.

    Parameters
    ----------
    model:
        Any PyTorch model.
    plan_or_topology:
        A plan of this model; or what :func:`topologies.models.plan` takes as a topology, and then ``options`` are its
        other arguments.
    weights:
        What fits a topology to each dense matrix ``(n_in, n_out)`` and returns trainable ``weights``, such as
        ``evaluators.reconstruction.fit``; by default dense weights do not carry over, and frozen layers stay dense.

    Raises
    ------
    ValueError
        As for a plan; when the plan was made for another model, or one of its layers computes in a way of its own by
        now, or is frozen and no ``weights`` are given; or when no layer could be made sparse, where
        ``only_if_faster`` did not ask for that.
    """
    if isinstance(model, nn.parallel.DistributedDataParallel):
        raise ValueError("the model is wrapped for several processes already: convert it before that")
    if isinstance(plan_or_topology, Plan):
        if options:
            raise ValueError(f"a plan is complete: give {', '.join(options)} to plan() when it is made")
        chosen = plan_or_topology
    else:
        chosen = plan(model, plan_or_topology, weights=weights, **options)
        if not chosen.changes and not options.get("only_if_faster"):
            raise ValueError(_nothing(chosen))
    changes: dict[tuple[str, ...], dict[str, Change]] = {}
    for change in chosen.changes:
        changes.setdefault(change.names, {})[change.path] = change
    built = [(names, _sparse(model, of_layer, weights)) for names, of_layer in changes.items()]
    converted = swap(model, built)
    keep_nested_tensors_out(converted, changes)
    return converted


def _sparse(model: nn.Module, changes: Mapping[str, Change], weights: Fit | None) -> nn.Module:
    """The module that takes the place of a layer, from the changes of all its matrices."""
    first = next(iter(changes.values()))
    found = modules_at(model, first.names, "the plan was made for another model: this one has no layer {}")
    kind = kind_of(found[0])
    matrices = kind.matrices(found[0]) if kind is not None and kind.name == first.kind else ()
    if kind is None or [matrix.path for matrix in matrices] != list(changes):
        raise ValueError(_other(first, found[0]))
    for matrix in matrices:
        change = changes[matrix.path]
        if not matrix.fits(change.n_in, change.n_out):
            raise ValueError(_other(change, found[0]))
    if reason := own_way(found[0], kind) or (frozen(found[0]) if weights is None else None):
        raise ValueError(f"{first.names[0]}: {reason}")
    topologies = {path: change.topology for path, change in changes.items()}
    try:
        return kind.replace(found[0], topologies, weights)
    except ValueError as problem:
        raise ValueError(f"{first.names[0]}: {problem}") from None


def _other(change: Change, module: nn.Module) -> str:
    """That a plan says something else of a layer than is there."""
    wanted = f"a {change.kind} of {change.n_in} x {change.n_out}"
    return f"the plan was made for another model: {change.names[0]} is {module}, not {wanted}"


def _nothing(chosen: Plan) -> str:
    """Why no layer can be made sparse."""
    if not chosen.skipped:
        return "no layer can be made sparse: the model has no layer that is a matrix"
    first = chosen.skipped[0]
    others = f"; and {len(chosen.skipped) - 1} others, see print(plan(...))" if len(chosen.skipped) > 1 else ""
    return f"no layer can be made sparse: {first.names[0]}: {first.reason}{others}"
