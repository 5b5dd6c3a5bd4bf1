"""Where modules stand in a model, and modules that take the places of others, with the hooks of those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from topologies.models.kinds import sparse_kind_of

Names = Mapping[nn.Module, Sequence[str]]
"""All names of every module, as a shared one has several."""

_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_is_full_backward_hook",
)
"""Where a module keeps what is called when it runs; the handles that remove a hook know these dictionaries."""


def names_of(model: nn.Module) -> dict[nn.Module, list[str]]:
    """All names of every module of a model, in its order; parts of sparse layers are left out."""
    names: dict[nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        names.setdefault(module, []).append(name)
    parts = {part for module in names if sparse_kind_of(module) for part in module.modules() if part is not module}
    return {module: places for module, places in names.items() if module not in parts}


def modules_at(model: nn.Module, names: Iterable[str], complaint: str) -> list[nn.Module]:
    """The modules that stand there; ValueError with the ``complaint``, whose {} is the place, where there is none."""
    found = []
    for name in names:
        try:
            found.append(model.get_submodule(name))
        except AttributeError:
            raise ValueError(complaint.format(name)) from None
    return found


def swap(model: nn.Module, replacements: Iterable[tuple[Sequence[str], nn.Module]]) -> nn.Module:
    """Put each module at all of its places in a model, and hand over the hooks of the one that was there.

    Nothing here can fail for names that the model has. Returns the model, or what takes its own place.
    """
    for names, new in replacements:
        old = model.get_submodule(names[0])
        for hooks in _HOOKS:
            new.__dict__[hooks] = old.__dict__[hooks]
        for name in names:
            parent, _, child = name.rpartition(".")
            if name:
                model.get_submodule(parent)._modules[child] = new
            else:
                model = new
    return model


def keep_nested_tensors_out(model: nn.Module, places: Iterable[Sequence[str]]) -> None:
    """Have every ``nn.TransformerEncoder`` with sparse layers at these places go the way of training with padding.

    In eval mode it would pack padded batches into nested tensors, which its layers' own code does not read. It asks
    its first layer alone whether that can be, and decides most of it when it is made.
    """
    for name in (name for names in places for name in names):
        parts = name.split(".")
        for count in range(len(parts)):
            parent = model.get_submodule(".".join(parts[:count]))
            if isinstance(parent, nn.TransformerEncoder):
                parent.use_nested_tensor = False
