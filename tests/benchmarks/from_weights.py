"""Dense layers trained on MNIST, replaced by what comes near their weights with a tenth and a quarter as many.

Run with `python -m tests.benchmarks.from_weights --data mnist.npz [--only "random_regular, fitted, 25%"]`, a file with
x_train, y_train, x_test and y_test; takes about ten minutes on one core, a single row about two. Beside cascades fitted
by `evaluators.reconstruction.fit` stand the truncated singular value decomposition, Monarch's projection in closed form
(Dao et al. 2022: the best rank-r form of every block of the matrix seen as blocks of blocks), and cascades from a fresh
draw.

A search on the weights of the second layer alone, and its champion beside the others in place of that layer, all with
as many trainable edges as the champion has; ``weights.toml`` says ``targets = "layer.safetensors:weight"`` and
``budget = 6553``:

    python -m tests.benchmarks.from_weights --data mnist.npz --write layer.safetensors
    evofabric search weights.toml
    python -m tests.benchmarks.from_weights --data mnist.npz --champion runs/.../champion.safetensors
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import argparse
import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

import topologies.models as tm
from evaluators.reconstruction import fit
from tests.benchmarks.problems import table
from topologies import Layer, Topology, load

WIDTH, EPOCHS, BATCH, SEEDS, VALIDATION = 256, 4, 256, 3, 5000
DENSITIES, RATES = (0.1, 0.25), (1e-3, 3e-3)
FAMILIES = ("clos", "butterfly", "random_regular")

BOTH, SECOND = (0, 2), (2,)
"""Places of the layers that are replaced."""

Images = tuple[Tensor, Tensor]
Places = tuple[int, ...]
Replace = Callable[[nn.Sequential, Places, float], nn.Sequential]


class Monarch(nn.Module):
    """A matrix of ``blocks`` x ``blocks`` blocks, each of low rank, as two products of block-diagonal matrices.

    Inputs are numbered (block, place), outputs (place, block), so that every block of inputs meets every block of
    outputs in ``rank`` numbers.
    """

    def __init__(self, first: Tensor, second: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.first, self.second, self.bias = nn.Parameter(first), nn.Parameter(second), nn.Parameter(bias)

    @staticmethod
    def of(weight: Tensor, bias: Tensor, blocks: int, rank: int) -> Monarch:
        """The nearest there is to a weight ``(n_out, n_in)``."""
        n_out, n_in = weight.shape
        parts = weight.detach().view(n_out // blocks, blocks, blocks, n_in // blocks).permute(2, 1, 0, 3)
        left, values, right = torch.linalg.svd(parts, full_matrices=False)  # of (in block, out block)
        root = values[..., :rank].sqrt()
        return Monarch(right[..., :rank, :] * root[..., None], left[..., :rank] * root[..., None, :], bias.detach())

    def dense(self) -> Tensor:
        """The matrix ``(n_out, n_in)``."""
        blocks, _, n_out, _ = self.second.shape
        whole = torch.einsum("abor,abri->obai", self.second, self.first)
        return whole.reshape(n_out * blocks, -1)

    def forward(self, x: Tensor) -> Tensor:
        blocks = self.first.shape[0]
        met = torch.einsum("nai,abri->nabr", x.view(len(x), blocks, -1), self.first)
        return torch.einsum("nabr,abor->nob", met, self.second).flatten(1) + self.bias


def digits(path: Path) -> tuple[Images, Images, Images]:
    """Training, validation and test digits, standardised."""
    data = np.load(path)
    x, x_test = (torch.from_numpy(data[name]).float().flatten(1) / 255 for name in ("x_train", "x_test"))
    mean, deviation = x.mean(), x.std()
    x, x_test = (x - mean) / deviation, (x_test - mean) / deviation
    y, y_test = (torch.from_numpy(data[name]).long().flatten() for name in ("y_train", "y_test"))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return (x[VALIDATION:], y[VALIDATION:]), (x[:VALIDATION], y[:VALIDATION]), (x_test, y_test)


def network(inputs: int) -> nn.Sequential:
    """Two hidden layers, both of which are replaced."""
    return nn.Sequential(nn.Linear(inputs, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))


def trained(model: nn.Module, digits: Images, epochs: int, rate: float, seed: int) -> nn.Module:
    """The model after Adam's one cycle, in place."""
    generator = torch.Generator().manual_seed(seed)
    x, y = digits
    steps = len(x) // BATCH
    optimizer = torch.optim.Adam(tm.parameter_groups(model, rate))
    top = [group["lr"] for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, top, total_steps=epochs * steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator)[: steps * BATCH].split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
            schedule.step()
    return model


@torch.no_grad()
def accuracy(model: nn.Module, of: Images) -> float:
    """Share of digits that are told right, in percent."""
    return 100 * float((model(of[0]).argmax(1) == of[1]).float().mean())


def by_svd(model: nn.Sequential, places: Places, density: float) -> nn.Sequential:
    """Layers by their leading singular vectors."""
    for place in places:
        weight, bias = model[place].weight.detach(), model[place].bias
        n_out, n_in = weight.shape
        rank = int(density * n_in * n_out) // (n_in + n_out)
        left, values, right = torch.linalg.svd(weight, full_matrices=False)
        root = values[:rank].sqrt()
        pair = nn.Sequential(nn.Linear(n_in, rank, bias=False), nn.Linear(rank, n_out))
        pair[0].weight, pair[1].weight = (
            nn.Parameter(root[:, None] * right[:rank]),
            nn.Parameter(left[:, :rank] * root),
        )
        pair[1].bias = nn.Parameter(bias.detach().clone())
        model[place] = pair
    return model


def by_monarch(model: nn.Sequential, places: Places, density: float) -> nn.Sequential:
    """Layers in Monarch's form, of the blocks that come nearest within the budget."""
    for place in places:
        weight, bias = model[place].weight, model[place].bias
        n_out, n_in = weight.shape
        room = int(density * n_in * n_out) // (n_in + n_out)
        blocks = [b for b in range(2, room + 1) if n_in % b == 0 and n_out % b == 0]
        found = [Monarch.of(weight, bias, b, room // b) for b in blocks]
        with torch.no_grad():
            model[place] = min(found, key=lambda one: float((one.dense() - weight).square().sum()))
    return model


def by_cascade(family: str, fitted: bool) -> Replace:
    """Layers as cascades of a family, fitted or from a fresh draw."""

    def replaced(model: nn.Sequential, places: Places, density: float) -> nn.Sequential:
        plan = tm.plan(model, family, density=density, diagonal=True, targets=[str(place) for place in places])
        return tm.convert(model, plan, weights=fit if fitted else None)  # type: ignore[return-value]

    return replaced


def by_topology(topology: Topology) -> Replace:
    """Layers as one topology with a diagonal, fitted."""
    outputs = np.arange(topology.n_out)
    diagonal = Layer(topology.n_out, topology.n_out, outputs, outputs, np.ones(topology.n_out, dtype=np.bool_))
    whole = Topology((*topology.layers, diagonal))

    def replaced(model: nn.Sequential, places: Places, density: float) -> nn.Sequential:
        for place in places:
            model[place] = tm.replace_linear(model[place], whole, weights=fit)
        return model

    return replaced


WAYS: dict[str, Replace] = {
    "truncated SVD": by_svd,
    "Monarch, closed form": by_monarch,
    **{f"{family}, fitted": by_cascade(family, True) for family in FAMILIES},
    "random_regular, fresh": by_cascade("random_regular", False),
}


def matrix(module: nn.Module) -> Tensor:
    """What a replaced layer multiplies by, ``(n_out, n_in)``."""
    if isinstance(module, Monarch):
        return module.dense()
    if isinstance(module, nn.Sequential):
        return module[1].weight @ module[0].weight
    return module.weight  # type: ignore[return-value]


def error(model: nn.Sequential, dense: nn.Sequential, places: Places) -> float:
    """Relative squared error on the weights, mean of the layers."""
    with torch.no_grad():
        errors = [
            (matrix(model[place]) - dense[place].weight).square().sum() / dense[place].weight.square().sum()
            for place in places
        ]
    return float(sum(errors)) / len(places)


def networks_on(training: Images) -> list[nn.Sequential]:
    """The dense networks, one a seed."""
    found = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        found.append(trained(network(training[0].shape[1]), training, EPOCHS, 1e-3, seed))
    return found  # type: ignore[return-value]


def write(path: Path, to: Path) -> None:
    """The weights of the second layer of the first network."""
    second = networks_on(digits(path)[0])[0][SECOND[0]]
    save_file({"weight": second.weight.detach()}, to)  # type: ignore[union-attr, dict-item]


def main(path: Path, only: str | None, champion: Path | None) -> None:
    """A row for each way and density, or for one: mean and deviation over networks of several seeds."""
    training, validation, test = digits(path)
    networks = networks_on(training)
    places, ways, densities = BOTH, WAYS, DENSITIES
    if champion is not None:
        topology = load(champion)
        whole = by_topology(topology)
        places, ways = SECOND, {"champion, fitted": whole, **WAYS}
        densities = ((topology.n_trainable + topology.n_out) / (topology.n_in * topology.n_out),)
    headings = ("weights", "error on weights", "test % before", "after one epoch")
    what = f"{len(places)} layer{'s' * (len(places) > 1)} of {WIDTH}"
    result = table(f"{path.stem}: {what}, {SEEDS} seeds", "layers", *headings)

    def add(name: str, *columns: list[float]) -> None:
        cells = [f"{np.mean(one):.3f} ± {np.std(one, ddof=1):.3f}" for one in columns[1:]]
        result.add_row(name, f"{columns[0][0]:,.0f}", *cells)
        print(name, *(np.round(one, 3).tolist() for one in columns), flush=True)

    if only in (None, "dense"):
        count = [float(sum(one[place].weight.numel() for place in places)) for one in networks]
        before = [accuracy(one, test) for one in networks]
        add("dense", count, [0.0] * SEEDS, before, _tuned(networks, training, validation, test))
    for density in densities:
        for way, replace in ways.items():
            name = f"{way}, {density:.0%}"
            if only not in (None, name):
                continue
            models = []
            for seed, dense in enumerate(networks):
                torch.manual_seed(seed)
                models.append(replace(copy.deepcopy(dense), places, density))
            errors = [error(model, dense, places) for model, dense in zip(models, networks, strict=True)]
            before = [accuracy(model, test) for model in models]
            count = [weights(model, places) for model in models]
            add(name, count, errors, before, _tuned(models, training, validation, test))
    Console(width=120).print(result)


def weights(model: nn.Sequential, places: Places) -> float:
    """Trainable weights of the replaced layers."""
    parts = [part for place in places for part in model[place].named_parameters()]
    return float(sum(one.numel() for name, one in parts if "bias" not in name))


def _tuned(models: list[nn.Sequential], training: Images, validation: Images, test: Images) -> list[float]:
    """Test accuracy of each after one epoch more, at the rate that is best on validation digits for the first."""
    tried = [accuracy(trained(copy.deepcopy(models[0]), training, 1, rate, 0), validation) for rate in RATES]
    rate = RATES[int(np.argmax(tried))]
    return [accuracy(trained(copy.deepcopy(model), training, 1, rate, seed), test) for seed, model in enumerate(models)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    rows = ["dense", *(f"{way}, {density:.0%}" for density in DENSITIES for way in WAYS)]
    parser.add_argument("--only", choices=rows)
    parser.add_argument("--champion", type=Path, help="of a search on the second layer's weights")
    parser.add_argument("--write", type=Path, help="only write the second layer's weights, as a .safetensors file")
    given = parser.parse_args()
    if given.write is not None:
        write(given.data, given.write)
    else:
        main(given.data, given.only, given.champion)
