"""What a sparse layer takes over from the dense one in whose place it is put."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from topologies.entries import as_array
from topologies.models.cascade import SparseCascade
from topologies.topology import Topology


class Fitted(Protocol):
    """Trainable weights of a topology whose product is near a matrix."""

    @property
    def weights(self) -> NDArray[np.float32]:
        """Shape ``(n_trainable,)``, in order of the layers and of their edges, as ``SparseCascade.edge_weight``."""


Fit = Callable[[Topology, NDArray[np.float32]], Fitted]
"""Fits a topology to a matrix ``(n_in, n_out)``, such as ``evaluators.reconstruction.fit``."""


def take_weight(cascade: SparseCascade, weight: Tensor, frozen: bool, weights: Fit | None) -> None:
    """Freeze the edges where the dense weight ``(n_out, n_in)`` was, and start them near it where a fit is given.

    Raises
    ------
    TypeError
        When ``weights`` is no function.
    ValueError
        When the dense weight has no memory to be read (the meta device), or the fit returns other weights than wanted.
    """
    if weights is not None:
        if not callable(weights):
            raise TypeError(
                f"weights = {type(weights).__name__}: a function of a topology and a matrix is wanted, such as "
                "evaluators.reconstruction.fit"
            )
        if weight.is_meta:
            raise ValueError("the dense weights have no memory (the meta device): there is nothing to fit")
        matrix = np.ascontiguousarray(as_array(weight).T, np.float32)
        found = np.asarray(weights(cascade.topology, matrix).weights)
        if found.shape != (cascade.topology.n_trainable,) or not np.isfinite(found).all():
            wanted = f"{cascade.topology.n_trainable} finite weights"
            raise ValueError(f"the fit returned an array of shape {found.shape}, or numbers that are none: {wanted}")
        with torch.no_grad():
            cascade.edge_weight.copy_(torch.from_numpy(found))
    cascade.edge_weight.requires_grad_(not frozen)


def take_parameter(new: Tensor | None, old: Tensor | None, frozen: bool) -> None:
    """Copy a bias, and freeze it where it was frozen; nothing where there is none."""
    if new is None or old is None:
        return
    with torch.no_grad():
        new.copy_(old)
    new.requires_grad_(not frozen)
