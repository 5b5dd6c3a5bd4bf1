"""The networks that studies train: a perceptron, a GRU, an LSTM and MobileNet, with any layers at their places."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from evaluators.training.evaluator import sizes_of
from evaluators.training.models import Layer, ModelFunction, Perceptron
from topologies.stack import Sizes

_CHANNELS = 3
"""Of images, colours last, as CIFAR-10 comes."""
_GATES = {"gru": 3, "lstm": 4}
_STAGES = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * 5, (32, 2), (32, 1))
"""MobileNet v1's outputs in multiples of the first layer's, and strides (Howard et al., arXiv:1704.04861, table 1)."""


class RowByRow(nn.Module):
    """A recurrent layer that reads an image row by row, and a dense head on its last hidden state.

    ``layers`` are the matrices of the gates, first those from the inputs, then those from the hidden state. A call
    multiplies them out once, and PyTorch's kernel goes through time.
    """

    def __init__(self, kind: str, layers: Sequence[Layer], outputs: int) -> None:
        super().__init__()
        self.kind, self.layers = kind, nn.ModuleList(layers)
        for one in layers:
            one.bias = None  # the gates have their own
        self.row, self.width = layers[0].in_features, layers[0].out_features
        bound = 1 / math.sqrt(self.width)
        self.biases = nn.ParameterList(torch.empty(_GATES[kind] * self.width).uniform_(-bound, bound) for _ in range(2))
        self.head = nn.Linear(self.width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(batch, rows * columns)`` to ``(batch, outputs)``."""
        rows = x.view(len(x), -1, self.row)
        gates = _GATES[self.kind]
        matrices = [cast(Layer, layer).dense().T for layer in self.layers]
        weights = [torch.cat(matrices[:gates]), torch.cat(matrices[gates:]), *self.biases]
        start = x.new_zeros(1, len(x), self.width)
        if self.kind == "gru":
            _, last = torch.gru(rows, start, weights, True, 1, 0.0, self.training, False, True)
        else:
            _, last, _ = torch.lstm(rows, [start, start], weights, True, 1, 0.0, self.training, False, True)
        return self.head(last[0])  # type: ignore[no-any-return]


class MobileNet(nn.Module):
    """MobileNet v1 for small images, whose pointwise convolutions are the places (section VIII, figure 2a).

    The first convolution and the first block keep the image's size (32 x 32), as is usual on CIFAR-10; the dense 3 x 3
    convolution at the beginning, the depthwise ones and the head are what they are in the original. Channels stay last
    in memory, as the images have them and the layers want them, which makes a step twice as fast.
    """

    def __init__(self, layers: Sequence[Layer], outputs: int) -> None:
        super().__init__()
        width = layers[0].in_features
        self.first = nn.Sequential(
            nn.Conv2d(_CHANNELS, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.blocks = nn.ModuleList(_Block(layer, stride) for layer, (_, stride) in zip(layers, _STAGES, strict=True))
        self.head = nn.Linear(layers[-1].out_features, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(batch, side * side * 3)`` to ``(batch, outputs)``."""
        side = math.isqrt(x.shape[1] // _CHANNELS)
        x = self.first(x.view(len(x), side, side, _CHANNELS).movedim(-1, 1))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


class _Block(nn.Module):
    """A depthwise 3 x 3 convolution, then a layer over the channels of every pixel; a norm and a ReLU after each."""

    def __init__(self, layer: Layer, stride: int) -> None:
        super().__init__()
        n_in = layer.in_features
        self.depthwise = nn.Conv2d(n_in, n_in, 3, stride, padding=1, groups=n_in, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(n_in), nn.BatchNorm2d(layer.out_features)])
        layer.bias = None  # the norm has one
        self.pointwise = layer

    def forward(self, x: Tensor) -> Tensor:
        x = self.norms[0](self.depthwise(x)).relu()
        x = self.pointwise(x.movedim(1, -1)).movedim(-1, 1)
        return self.norms[1](x).relu()  # type: ignore[no-any-return]


def gru(layers: Sequence[Layer], outputs: int) -> RowByRow:
    """A GRU; its gates' matrices are in PyTorch's order r, z, n, each from the inputs and then from the state."""
    return RowByRow("gru", layers, outputs)


def lstm(layers: Sequence[Layer], outputs: int) -> RowByRow:
    """An LSTM; its gates' matrices are in PyTorch's order i, f, g, o, each from the inputs and then from the state."""
    return RowByRow("lstm", layers, outputs)


@dataclass(frozen=True)
class Network:
    """A network of studies: what makes it, and the sizes of its places for ``(inputs, width, hidden layers)``."""

    make: ModelFunction
    sizes: Callable[[int, int, int], Sizes]


def _of_gates(kind: str) -> Callable[[int, int, int], Sizes]:
    def sizes(inputs: int, width: int, layers: int) -> Sizes:
        row = math.isqrt(inputs)
        if row * row != inputs:
            raise ValueError(f"the examples have {inputs} inputs: square images are wanted, to be read row by row")
        return ((row, width),) * _GATES[kind] + ((width, width),) * _GATES[kind]

    return sizes


def _of_mobilenet(inputs: int, width: int, layers: int) -> Sizes:
    side = math.isqrt(inputs // _CHANNELS)
    if side * side * _CHANNELS != inputs:
        raise ValueError(f"the examples have {inputs} inputs: square images of 3 colours are wanted, the colours last")
    outputs = [width, *(multiple * width for multiple, _ in _STAGES)]
    return tuple(pairwise(outputs))


NETWORKS: dict[str, Network] = {
    "perceptron": Network(Perceptron, lambda inputs, width, layers: sizes_of(inputs, [width] * layers)),
    "gru": Network(gru, _of_gates("gru")),
    "lstm": Network(lstm, _of_gates("lstm")),
    "mobilenet": Network(MobileNet, _of_mobilenet),
}
"""What recipes of studies may train, by name."""
