"""Small models of the usual kinds, to convert in tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def mlp() -> nn.Sequential:
    """Two layers that can be sparse, and a head that is too small at a density of a tenth."""
    return nn.Sequential(nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 3))


class Block(nn.Module):
    """A depthwise and a pointwise convolution, as in MobileNet."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(n_in, n_in, 3, padding=1, groups=n_in, bias=False)
        self.pointwise = nn.Conv2d(n_in, n_out, 1, stride, bias=False)
        self.norm = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.pointwise(self.depthwise(x))))


def mobile() -> nn.Sequential:
    """A small MobileNet: stem, two blocks, head."""
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), Block(32, 48, 1), Block(48, 64, 2), head)


def transformer() -> nn.TransformerEncoder:
    """Two layers, 32 wide, without dropout."""
    layer = nn.TransformerEncoderLayer(32, 4, dim_feedforward=64, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 2)


class Tied(nn.Module):
    """An embedding whose weight is the head's, and one layer that stands at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        self.first = nn.Linear(32, 32)
        self.second = self.first
        self.head = nn.Linear(32, 50, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))))


INPUTS = {mlp: (5, 48), mobile: (2, 3, 16, 16), transformer: (3, 7, 32)}
"""A batch's shape for each model."""
