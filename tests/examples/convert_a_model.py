"""Make a model of your own sparse before it is trained, keep it on disk, and fold it back into plain PyTorch."""

import torch
from torch import nn

import topologies.models as tm


def dense() -> nn.Module:
    """A model as anybody writes it."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 64, 128), nn.ReLU(), nn.Linear(128, 10)
    )


torch.manual_seed(0)
model = dense()
plan = tm.plan(model, density=0.1, exclude=["5"])  # the head stays dense; nothing is changed yet
print(plan)
model = tm.convert(model, plan)
optimizer = torch.optim.AdamW(tm.parameter_groups(model, lr=1e-3))

x, y = torch.randn(16, 3, 8, 8), torch.randint(10, (16,))
nn.functional.cross_entropy(model(x), y).backward()
optimizer.step()

tm.save(model, "sparse")  # weights and topologies, as safetensors
again = tm.load(dense(), "sparse")
assert torch.equal(again(x), model(x))

folded = tm.fold(model)  # a copy in plain PyTorch: ONNX, quantisation
print("largest difference when folded:", (folded(x) - model(x)).abs().max().item())
