"""Parameter groups for an optimizer: cascades learn at rates of their own, and only their edges decay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from topologies.models.cascade import SparseCascade
from topologies.models.kinds import sparse_kind_of

FACTOR = 3.0
"""The learning rate of cascades over that of the rest, where none is given: the best rates of models with cascades were
3 to 10 times those of dense ones, for a weight that has few neighbours moves the outputs little."""


def parameter_groups(
    model: nn.Module,
    lr: float,
    weight_decay: float = 0.0,
    *,
    cascade_lr: float | None = None,
    cascade_weight_decay: float | None = None,
) -> list[dict[str, Any]]:
    """Groups of a model's parameters for any optimizer of ``torch.optim``.

    >>> optimizer = torch.optim.AdamW(parameter_groups(model, lr=1e-3, weight_decay=0.05))

    Frozen parameters are left out, shared ones are in one group, that of cascades where one of those has it. There are
    up to four groups, told apart by their ``"name"``. Two decay: the ``edges`` of cascades, and the ``weights``, what
    has two dimensions or more in the rest of the model. Two do not: the ``biases of cascades``, and the ``biases and
    norms``, what has fewer dimensions in the rest. ``edge_weight`` has one dimension, so that recipes which decay what
    has two would not decay it.

    Parameters
    ----------
    model:
        Any PyTorch model.
    lr, weight_decay:
        Of the rest of the model.
    cascade_lr, cascade_weight_decay:
        Of the cascades; by default three times ``lr``, and ``weight_decay`` divided by three, so that a step takes the
        same share of a weight as of a dense one (decoupled decay, as of AdamW, is multiplied by the rate).

    Raises
    ------
    ValueError
        When a rate or a decay is negative.
    """
    cascade_lr = FACTOR * lr if cascade_lr is None else cascade_lr
    cascade_weight_decay = weight_decay / FACTOR if cascade_weight_decay is None else cascade_weight_decay
    given = {
        "lr": lr,
        "weight_decay": weight_decay,
        "cascade_lr": cascade_lr,
        "cascade_weight_decay": cascade_weight_decay,
    }
    for name, value in given.items():
        if not value >= 0:
            raise ValueError(f"{name} is {value!r}: a number from 0 is wanted")
    groups: dict[str, dict[str, Any]] = {
        "edges": {"lr": cascade_lr, "weight_decay": cascade_weight_decay},
        "biases of cascades": {"lr": cascade_lr, "weight_decay": 0.0},
        "weights": {"lr": lr, "weight_decay": weight_decay},
        "biases and norms": {"lr": lr, "weight_decay": 0.0},
    }
    members: dict[str, dict[nn.Parameter, None]] = {name: {} for name in groups}
    of_cascades: set[nn.Parameter] = set()
    for module in model.modules():
        for name, parameter in _of_sparse(module):
            if parameter.requires_grad and parameter not in of_cascades:
                members["biases of cascades" if "bias" in name else "edges"][parameter] = None
                of_cascades.add(parameter)
    for parameter in model.parameters():
        if parameter.requires_grad and parameter not in of_cascades:
            members["weights" if parameter.ndim >= 2 else "biases and norms"][parameter] = None
    return [{"name": name, "params": list(members[name]), **groups[name]} for name in groups if members[name]]


def _of_sparse(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Edges and biases of a cascade, and the biases that a layer of several cascades has itself."""
    if isinstance(module, SparseCascade):
        yield from module.named_parameters()
    elif sparse_kind_of(module) is not None:
        own = module.named_parameters(recurse=False)
        yield from ((name, parameter) for name, parameter in own if parameter.ndim == 1)
