"""Why a dense layer is left as it is: what a sparse one in its place would change without anybody noticing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn
from torch.nn.parameter import is_lazy

from topologies.models.kinds import Kind, kind_of, sparse_kind_of
from topologies.models.places import Names

_READS_WEIGHTS = {nn.MultiheadAttention: ("out_proj",)}
"""Modules of PyTorch's that compute with the weights of children which they never call.

One of somebody else's that reads ``self.fc.weight`` is not known here. It gets the product of the cascade's matrices,
multiplied out at every access: right, but slow.

The fast path of ``nn.TransformerEncoderLayer`` reads weights too, those of ``linear1`` and ``linear2`` and of its
attention; but the weight of a cascade is a tensor that it declines, and a sparse attention tells it that its weights
are not to be read together, so that it calls them instead.
"""

_COMPUTES = ("forward", "_conv_forward")
"""The methods with which layers compute: a class may have its own, and so may a module (a hook of accelerate's)."""

_OF_STATE = ("_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks")


Owners = Mapping[nn.Parameter, Sequence[tuple[nn.Module, str]]]
"""The modules that hold a parameter, and its name there."""


def owners_of(names: Names) -> Owners:
    """Who holds each parameter of a model."""
    owners: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}
    for module, places in names.items():
        for name, parameter in module.named_parameters(recurse=False):
            owners.setdefault(parameter, []).append((module, ".".join(filter(None, (places[0], name)))))
    return owners


def obstacle(model: nn.Module, module: nn.Module, names: Names, owners: Owners) -> str | None:
    """Why a layer of a model has no sparse form, or None where it has one."""
    if sparse_kind_of(module) is not None:
        return "it is sparse already"
    kind = kind_of(module)
    if kind is None:
        return "it has no sparse form here"
    return (
        own_way(module, kind)
        or kind.obstacle(module)
        or _unusual_weights(module, kind.parameters(module))
        or _read_by_parent(model, names[module])
        or _tied(module, owners)
    )


def frozen(module: nn.Module) -> str | None:
    """Why a layer is left where nothing is fitted to its weights: trained ones would be lost, and nothing trained.

    On the meta device there is nothing to lose.
    """
    weights = (parameter for name, parameter in module.named_parameters() if "weight" in name)
    if any(not weight.requires_grad and not weight.is_meta for weight in weights):
        return "it is frozen, so that its edges would never be trained: unfreeze it, or give weights=fit"
    return None


def own_way(module: nn.Module, kind: Kind) -> str | None:
    """What computes in another way than the layer's kind does."""
    parent = kind.dense(module)
    if any(getattr(type(module), name, None) is not getattr(parent, name, None) for name in _COMPUTES):
        return f"its class {type(module).__name__} computes in a way of its own"
    replaced = [name for name in _COMPUTES if name in vars(module)]
    return f"its {replaced[0]} was replaced, so it computes in a way of its own" if replaced else None


def _unusual_weights(module: nn.Module, expected: set[str]) -> str | None:
    """What makes the weights more than matrices of numbers."""
    there = {".".join(filter(None, (path, name))) for path, part in module.named_modules() for name in part._parameters}
    if there != expected or ("weight" in expected and module._parameters["weight"] is None):
        return "its weight is parametrised, normalised or pruned: make that permanent first"
    for weight in module.parameters():
        if is_lazy(weight):
            return "its sizes are not known yet: run the model once first"
        if not weight.dtype.is_floating_point:
            return f"its weights are {weight.dtype}, not real floating-point numbers"
        if hasattr(weight, "device_mesh"):
            return "its weight is sharded: convert the model before that"
        if weight._backward_hooks or weight._post_accumulate_grad_hooks:
            return "its weight has hooks of its own"
    if any(getattr(module, kind, None) for kind in _OF_STATE):
        return "it has hooks on its state_dict"
    return None


def _read_by_parent(model: nn.Module, names: Sequence[str]) -> str | None:
    """Which module computes with the weight of this child without calling it."""
    for name in names:
        parent_name, _, child = name.rpartition(".")
        parent = model.get_submodule(parent_name)
        if any(isinstance(parent, reader) and child in children for reader, children in _READS_WEIGHTS.items()):
            return f"{type(parent).__name__} reads its weight rather than calls it"
    return None


def _tied(module: nn.Module, owners: Owners) -> str | None:
    """Which other module has one of the parameters."""
    own = set(module.modules())
    for name, parameter in module.named_parameters():
        for owner, place in owners[parameter]:
            if owner not in own:
                return f"its {name} is also {place}"
    return None
