"""Train a model with a found mask: handwritten digits, a sparse cascade in place of the hidden dense layer."""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

from topologies import SparseCascade, butterfly

# A run's folder or its champion's file, as `evofabric search` leaves it; here, without one, a butterfly.
mask = sys.argv[1] if len(sys.argv) > 1 else butterfly(64, 9)

digits = load_digits()
x = torch.tensor(digits.data, dtype=torch.float32) / 16
y = torch.tensor(digits.target)
train, test = slice(0, 1400), slice(1400, None)

torch.manual_seed(0)
layer = SparseCascade(mask)  # stands in for nn.Linear(64, 64)
model = nn.Sequential(layer, nn.ReLU(), nn.Linear(layer.out_features, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)

for _ in range(20):
    for rows in torch.randperm(1400).split(100):
        loss = nn.functional.cross_entropy(model(x[train][rows]), y[train][rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

right = (model(x[test]).argmax(1) == y[test]).float().mean().item()
print(f"{layer.topology.n_trainable} weights instead of 4096: {right:.1%} of the test digits are right")
