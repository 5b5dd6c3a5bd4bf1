"""A linear layer of circulant blocks (CirCNN): a rival of sparse layers at equal numbers of parameters.

Ding et al., CirCNN: Accelerating and Compressing Deep Neural Networks Using Block-Circulant Weight Matrices, MICRO
2017.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from topologies.kernel.op import autocast_dtype


class BlockCirculantLinear(nn.Module):
    """A dense layer whose matrix is made of square blocks, each of which one row determines.

    Maps ``(..., n_in)`` to ``(..., n_out)``. A block with first row ``w`` has ``w[(j - i) % b]`` at row i and column j,
    so that a product with it is a circular convolution, and is computed by Fourier transforms. Inputs and outputs that
    fill no whole block are padded.

    Parameters
    ----------
    in_features, out_features:
        As of ``nn.Linear``.
    block:
        Rows of a block, b. See :func:`block_of`.
    bias, device, dtype:
        As of ``nn.Linear``; the bias starts at zero, as that of a sparse cascade.

    Attributes
    ----------
    circulant_weight:
        Parameter of shape ``(blocks down, blocks across, b)``: the first row of every block. It starts uniform in
        Xavier's bound for the dense layer.

    Raises
    ------
    ValueError
        When a block is smaller than 1, or larger than the matrix.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        block: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= block <= max(in_features, out_features):
            raise ValueError(f"block = {block}: from 1 to the greater of in_features and out_features")
        self.in_features, self.out_features, self.block = in_features, out_features, block
        shape = (-(-in_features // block), -(-out_features // block), block)
        self.circulant_weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew from PyTorch's generator, and set the bias to zero."""
        bound = math.sqrt(6 / (self.in_features + self.out_features))
        nn.init.uniform_(self.circulant_weight, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def dense(self) -> Tensor:
        """The matrix that the layer multiplies by, ``(n_in, n_out)``."""
        down, across, block = self.circulant_weight.shape
        steps = torch.arange(block, device=self.circulant_weight.device)
        blocks = self.circulant_weight[:, :, (steps[None, :] - steps[:, None]) % block]  # down, across, i, j
        return blocks.transpose(1, 2).reshape(down * block, across * block)[: self.in_features, : self.out_features]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., n_in)`` to ``(..., n_out)``; sums are of float32 at least, also under autocast.

        Raises
        ------
        RuntimeError
            Where the input and the parameters differ in dtype outside of autocast, as for ``nn.Linear``.
        """
        weight, low = self.circulant_weight, autocast_dtype(x)
        if low is None and x.dtype != weight.dtype:
            raise RuntimeError(f"the input is {x.dtype} and the weights are {weight.dtype}: they must be the same")
        if not x.numel():  # which Fourier transforms refuse
            return functional.linear(x, self.dense().T, self.bias)
        down, across, block = weight.shape
        parts = functional.pad(x, (0, down * block - self.in_features)).view(*x.shape[:-1], down, block)
        spectrum = torch.einsum("...pf,pqf->...qf", torch.fft.rfft(_wide(parts)), torch.fft.rfft(_wide(weight)))
        outputs: Tensor = torch.fft.irfft(spectrum, n=block).reshape(*x.shape[:-1], across * block)
        outputs = outputs[..., : self.out_features]
        return (outputs if self.bias is None else outputs + self.bias).to(low or x.dtype).contiguous()


def _wide(tensor: Tensor) -> Tensor:
    """The same numbers in a dtype that there are Fourier transforms for."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def block_of(n_in: int, n_out: int, parameters: int) -> int:
    """The smallest block with which a layer has at most so many parameters, padding included.

    Raises
    ------
    ValueError
        When one block of the whole matrix has more.
    """
    for block in range(1, max(n_in, n_out) + 1):
        if parameters_of(n_in, n_out, block) <= parameters:
            return block
    raise ValueError(f"{parameters} parameters: a circulant {n_in} x {n_out} layer has at least {max(n_in, n_out)}")


def parameters_of(n_in: int, n_out: int, block: int) -> int:
    """Parameters of a layer of such blocks, padding included and the bias not."""
    return -(-n_in // block) * -(-n_out // block) * block
