"""A linear layer whose weights share few parameters by hashing (HashedNets): a rival of sparse layers at equal size.

Chen, Wilson, Tyree, Weinberger and Chen, Compressing Neural Networks with the Hashing Trick, ICML 2015.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


class HashedLinear(nn.Module):
    """A dense layer, each of whose weights is one of few parameters, chosen by a hash of its place, times a sign.

    Maps ``(..., n_in)`` to ``(..., n_out)``. What is saved is parameters; it computes as much as a dense layer.

    Parameters
    ----------
    in_features, out_features:
        As of ``nn.Linear``.
    parameters:
        How many there are, beside the bias.
    bias, device, dtype:
        As of ``nn.Linear``; the bias starts at zero, as that of a sparse cascade.
    seed:
        Names one hash function for good.

    Attributes
    ----------
    hashed_weight:
        Parameter of shape ``(parameters,)``. It starts uniform in Xavier's bound for the dense layer, because the
        dense layer is what an input meets.

    Raises
    ------
    ValueError
        When there are fewer than one parameter, or more than the dense layer has.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        parameters: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 1 <= parameters <= in_features * out_features:
            raise ValueError(f"parameters = {parameters}: from 1 to in_features * out_features")
        self.in_features, self.out_features = in_features, out_features
        self.seed = seed
        self.hashed_weight = nn.Parameter(torch.empty(parameters, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype)) if bias else None
        self.register_buffer("_places", None, persistent=False)
        self.register_buffer("_signs", None, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew from PyTorch's generator, set the bias to zero, and hash every place again."""
        bound = math.sqrt(6 / (self.in_features + self.out_features))
        nn.init.uniform_(self.hashed_weight, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        self._hash()

    def _hash(self) -> None:
        """Work out which parameter each weight is, where the parameters are: it is in no checkpoint."""
        weight = self.hashed_weight
        places, signs = places_and_signs(self.in_features * self.out_features, weight.numel(), self.seed)
        self._places = torch.from_numpy(places).to(weight.device)
        self._signs = torch.from_numpy(signs).to(weight.device, weight.dtype)

    def _apply(self, *given: Any, **named: Any) -> Self:
        """PyTorch's own, by which modules are moved, cast and given memory with nothing in it."""
        super()._apply(*given, **named)  # type: ignore[no-untyped-call]
        self._hash()
        return self

    def _load_from_state_dict(self, *given: Any) -> None:
        """PyTorch's own, after which the module may have other parameters."""
        super()._load_from_state_dict(*given)
        self._hash()

    def dense(self) -> Tensor:
        """The matrix that the layer multiplies by, ``(n_in, n_out)``."""
        assert isinstance(self._places, Tensor) and isinstance(self._signs, Tensor)
        weights = self.hashed_weight.index_select(0, self._places) * self._signs.to(self.hashed_weight.dtype)
        return weights.view(self.in_features, self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., n_in)`` to ``(..., n_out)``."""
        return functional.linear(x, self.dense().T, self.bias)


def places_and_signs(weights: int, parameters: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For every weight of a dense matrix, row by row, which parameter it is, and with which sign.

    The hash is SplitMix64's of the weight's number and the seed: the highest bit is the sign, the others, modulo the
    number of parameters, are the place.
    """
    with np.errstate(over="ignore"):
        state = (np.arange(1, weights + 1, dtype=np.uint64) + np.uint64(seed) * np.uint64(weights)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    signs = np.where(state >> np.uint64(63), 1, -1).astype(np.float32)
    places = (state & np.uint64(2**63 - 1)) % np.uint64(parameters)
    return places.astype(np.int64), signs
