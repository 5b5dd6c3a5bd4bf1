"""What one writes in an afternoon: the loop that the compiled kernel is measured against.

Per candidate: dense parameters under masks, autograd, the default Adam, targets batched, one thread.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from topologies.topology import Topology


def train(
    topology: Topology,
    weights: NDArray[np.float32],
    targets: NDArray[np.float32],
    peak: float,
    schedule: NDArray[np.float32],
    fused: bool | None = None,
) -> NDArray[np.float64]:
    """Least squared error of each target, shape ``(targets,)``; arguments as ``cpu.train``'s."""
    goal = torch.tensor(targets)
    trainable = [torch.tensor(mask == 1, dtype=torch.float32) for mask in topology.masks()]
    constant = [torch.tensor(mask == 2, dtype=torch.float32) for mask in topology.masks()]
    parameters = [torch.nn.Parameter(start) for start in dense_layers(topology, weights)]
    adam = torch.optim.Adam(parameters, lr=peak, fused=fused)
    best = torch.full((len(goal),), torch.inf)
    for relative in schedule:
        adam.param_groups[0]["lr"] = peak * float(relative)
        product = parameters[0] * trainable[0] + constant[0]
        for parameter, mask, ones in zip(parameters[1:], trainable[1:], constant[1:], strict=True):
            product = product @ (parameter * mask + ones)
        errors = (product - goal).square().sum((1, 2))
        best = torch.minimum(best, errors.detach())
        adam.zero_grad()
        errors.sum().backward()
        adam.step()
    return best.double().numpy()


def train_padded(
    topologies: list[Topology],
    weights: list[NDArray[np.float32]],
    targets: NDArray[np.float32],
    peak: float,
    schedule: NDArray[np.float32],
) -> NDArray[np.float64]:
    """The same for many candidates at once: all padded to one width and depth, one chain of ``bmm``.

    Missing layers are identities. Returns shape ``(candidates, targets)``.
    """
    width = max(max(topology.widths) for topology in topologies)
    depth = max(topology.depth for topology in topologies)
    count, (n_targets, n_in, n_out) = len(topologies), targets.shape
    trainable = torch.zeros(depth, count, 1, width, width)
    constant = torch.eye(width).repeat(depth, count, 1, 1, 1)
    start = torch.zeros(depth, count, n_targets, width, width)
    for place, (topology, weight) in enumerate(zip(topologies, weights, strict=True)):
        for level, (mask, dense) in enumerate(zip(topology.masks(), dense_layers(topology, weight), strict=True)):
            rows, columns = mask.shape
            trainable[level, place, 0, :rows, :columns] = torch.tensor(mask == 1, dtype=torch.float32)
            constant[level, place] = 0
            constant[level, place, 0, :rows, :columns] = torch.tensor(mask == 2, dtype=torch.float32)
            start[level, place, :, :rows, :columns] = dense
    parameter = torch.nn.Parameter(start)
    goal = torch.tensor(targets)
    adam = torch.optim.Adam([parameter], lr=peak)
    best = torch.full((count, n_targets), torch.inf)
    for relative in schedule:
        adam.param_groups[0]["lr"] = peak * float(relative)
        layers = (parameter * trainable + constant).flatten(1, 2)
        product = layers[0]
        for level in range(1, depth):
            product = torch.bmm(product, layers[level])
        product = product.unflatten(0, (count, n_targets))[..., :n_in, :n_out]
        errors = (product - goal).square().sum((2, 3))
        best = torch.minimum(best, errors.detach())
        adam.zero_grad()
        errors.sum().backward()
        adam.step()
    return best.double().numpy()


def dense_layers(topology: Topology, weights: NDArray[np.float32]) -> list[torch.Tensor]:
    """Trainable weights ``(targets, n_trainable)`` as one ``(targets, n_in, n_out)`` tensor a layer."""
    result, place = [], 0
    for layer in topology.layers:
        dense = np.zeros((len(weights), layer.n_in, layer.n_out), dtype=np.float32)
        sources, targets = layer.sources[layer.trainable], layer.targets[layer.trainable]
        dense[:, sources, targets] = weights[:, place : place + layer.n_trainable]
        place += layer.n_trainable
        result.append(torch.tensor(dense))
    return result
