"""Trains many perceptrons at once whose weight matrices are sparse cascades, as the evaluator trains one.

All networks of a batch have cascades of one shape, and each has its own edges, learning rate, weight decay and seed.
Their parameters are the rows of one matrix, and a step is a few batched products, scatters and one AdamW update, so
that a GPU is busy with networks that alone would leave it idle. What it computes is what
:mod:`evaluators.training.training` does with each network by itself, up to rounding; a test compares the two.

Values are kept as ``(networks, neurons, examples)``: a change of places between products moves whole rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from evaluators.rng import generator
from evaluators.training.training import BETA_2, one_cycle
from tests.benchmarks.trained.jobs import Job, OnDevice, first_weights
from tests.benchmarks.trained.shapes import cut
from topologies.topology import Topology

EPSILON = 1e-8
"""What AdamW adds to the root of the mean square."""
WARM_UP_STEPS = 3
"""Steps that run by themselves on a GPU before the step is recorded as a graph."""
SCORED_AT_ONCE = 1000
"""Examples in a batch that is only scored."""


class _Rearranged(torch.autograd.Function):
    """Rows in another order; its derivative goes back the same way, without additions."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return values.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0].index_select(0, ctx.saved_tensors[0]), None, None


@dataclass(frozen=True)
class _Product:
    """A run of layers in all networks.

    ``moves`` are the places that its inputs are read from and the way back, None where nothing moves. Each layer has
    its constant entries ``(networks, entries)`` and the entries of its trainable edges ``(networks, edges)``.
    """

    blocks: int
    sizes: tuple[int, ...]
    moves: tuple[Tensor, Tensor] | None
    layers: list[tuple[Tensor, Tensor]]


class Batch:
    """Networks that train together. Their jobs have one :attr:`Job.kind`."""

    def __init__(self, jobs: Sequence[Job], data: OnDevice) -> None:
        self.jobs, self.on = list(jobs), data
        self.outputs = data.data.outputs
        seeds = sorted({job.seed for job in jobs})
        draws = {seed: generator(seed, "training together") for seed in seeds}
        state = {seed: draw.bit_generator.state for seed, draw in draws.items()}
        starts: dict[Any, Tensor] = {}
        self._pack([job.places for job in jobs], [seeds.index(job.seed) for job in jobs])
        rows = []
        for number, job in enumerate(jobs):
            name = (job.places, job.seed)
            if name not in starts:
                draws[job.seed].bit_generator.state = state[job.seed]
                starts[name] = self._start(number, draws[job.seed])
            rows.append(starts[name])
        self.theta = torch.stack(rows).to(self.on.device).requires_grad_()
        self.real = torch.stack([self._is_real(number) for number in range(len(jobs))]).to(self.on.device)
        self._prepare(jobs, [draws[seed] for seed in seeds])

    # What the networks are made of

    def _pack(self, networks: list[tuple[Topology, ...]], seed_of: list[int]) -> None:
        """Stack the places of all networks' edges, layer by layer."""
        device, count = self.on.device, len(networks)
        self.places: list[list[_Product]] = []
        self.sizes: list[int] = []  # of the parameters' sections: every layer's edges, the biases, the head
        self._real_edges: list[list[int]] = []
        regrown = self.jobs[0].regrown
        orders = [torch.arange(networks[0][0].n_in)] * count  # where each neuron's value lies now
        seeds = torch.tensor(seed_of)
        for place in range(len(networks[0])):
            cuts = [cut(network[place]) for network in networks]
            products = []
            for number, run in enumerate(cuts[0]):
                same = [one[number] for one in cuts]
                from_ = torch.stack([order[one.inputs] for order, one in zip(orders, same, strict=True)])
                orders = [torch.argsort(one.outputs) for one in same]
                first = place == number == 0
                width = from_.shape[1]
                whole = (seeds if first else torch.arange(count))[:, None] * width + from_
                still = not first and bool((from_ == torch.arange(width)).all())
                back = torch.argsort(whole.flatten()) if not first else whole
                moves = None if still else (whole.flatten().to(device), back.to(device))
                layers = [self._layer(same, at, regrown) for at in range(len(run.trainable))]
                products.append(_Product(run.blocks, run.sizes, moves, layers))
            self.places.append(products)
        self._orders = torch.stack(orders)
        self._bias_moves = [
            torch.stack([cut(network[place])[-1].outputs for network in networks]).to(device)
            for place in range(len(networks[0]))
        ]
        self.widths = [topology.n_out for topology in networks[0]]
        self.sizes += [*self.widths, self.outputs * self.widths[-1], self.outputs]

    def _layer(self, same: Sequence[Any], at: int, regrown: bool) -> tuple[Tensor, Tensor]:
        """The constant entries and the places of the trainable ones, of one layer in all networks."""
        run = same[0]
        entries = run.blocks * run.sizes[at] * run.sizes[at + 1]
        most = entries if regrown else max(one.trainable[at].numel() for one in same)
        base, index = torch.zeros(len(same), entries), torch.empty(len(same), most, dtype=torch.int64)
        self._real_edges.append([one.trainable[at].numel() for one in same])
        self.sizes.append(most)
        for row, one in enumerate(same):
            base[row, one.constants[at]] = 1
            edges = torch.arange(entries) if regrown else one.trainable[at]
            if edges.numel() < most:  # what is missing goes where nothing is, and stays at zero
                free = torch.ones(entries, dtype=torch.bool)
                free[one.constants[at]], free[edges] = False, False
                edges = torch.cat((edges, free.nonzero().flatten()[: most - edges.numel()]))
            index[row] = edges
        return base.to(self.on.device), index.to(self.on.device)

    def _start(self, number: int, draws: np.random.Generator) -> Tensor:
        """The first parameters of a network."""
        job, sections = self.jobs[number], iter(self.sizes)
        drawn, head = first_weights(job.places, self.outputs, draws)
        parts = []
        for topology, of_place in zip(job.places, drawn, strict=True):
            for layer, weights in zip(topology.layers, of_place, strict=True):
                section = torch.zeros(next(sections))
                at = torch.arange(weights.size)
                if job.regrown:
                    at = torch.from_numpy(layer.targets.astype(np.int64) * layer.n_in + layer.sources)
                section[at] = torch.from_numpy(weights)
                parts.append(section)
        parts += [torch.zeros(width) for width in self.widths]
        return torch.cat([*parts, head.weight.detach().flatten(), head.bias.detach()])

    def _is_real(self, number: int) -> Tensor:
        """Which parameters of a network there are, as 0 and 1."""
        job, parts = self.jobs[number], []
        layers = [layer for topology in job.places for layer in topology.layers]
        for at, layer in enumerate(layers):
            section = torch.zeros(self.sizes[at])
            if job.regrown:
                section[torch.from_numpy(layer.targets.astype(np.int64) * layer.n_in + layer.sources)] = 1
            else:
                section[: self._real_edges[at][number]] = 1
            parts.append(section)
        return torch.cat([*parts, torch.ones(sum(self.sizes[len(layers) :]))])

    def _prepare(self, jobs: Sequence[Job], draws: list[np.random.Generator]) -> None:
        """All that the steps read: orders of examples, the schedule, and AdamW's memories."""
        device, batch = self.on.device, self.on.batch
        examples = len(self.on.data.train)
        per_epoch, epochs = examples // batch, jobs[0].epochs
        self.steps = per_epoch * epochs
        orders = [[draw.permutation(examples)[: per_epoch * batch] for _ in range(epochs)] for draw in draws]
        self._order = torch.from_numpy(np.array(orders)).view(len(draws), self.steps, batch).to(device)
        seeds = sorted({job.seed for job in jobs})
        self._seed_of = torch.tensor([seeds.index(job.seed) for job in jobs], device=device)
        cycle = one_cycle(self.steps)
        table = [
            (pace, 1 - beta, 1 - beta ** (step + 1), (1 - BETA_2 ** (step + 1)) ** 0.5)
            for step, (pace, beta) in enumerate(cycle)
        ]
        self._table = torch.tensor(table, dtype=torch.float32, device=device)
        self._now = torch.zeros(1, dtype=torch.int64, device=device)
        self._rate = torch.tensor([[job.rate] for job in jobs], device=device)
        self._decay = torch.tensor([[job.weight_decay] for job in jobs], device=device)
        self._mean, self._square = torch.zeros_like(self.theta), torch.zeros_like(self.theta)
        self._masked = jobs[0].regrown or bool((self.real == 0).any())
        self.gradient = torch.zeros_like(self.theta) if jobs[0].regrown else None

    # What they compute

    def logits(self, x: Tensor) -> Tensor:
        """Outputs ``(networks, classes, examples)`` for inputs ``(seeds, inputs, examples)``."""
        count, rows = len(self.jobs), x.shape[-1]
        sections = iter(torch.split(self.theta, self.sizes, dim=1))
        edges = [[[next(sections) for _ in product.layers] for product in products] for products in self.places]
        biases = [next(sections) for _ in self.places]
        values = x.reshape(-1, rows)
        for products, weights, bias, moved in zip(self.places, edges, biases, self._bias_moves, strict=True):
            for number, (product, of_layers) in enumerate(zip(products, weights, strict=True)):
                matrix = _multiplied_out(product, of_layers, count)
                if product.moves is not None:
                    values = _Rearranged.apply(values, *product.moves)  # type: ignore[no-untyped-call]
                values = values.view(count * product.blocks, product.sizes[0], rows)
                if number == len(products) - 1:
                    own = bias.gather(1, moved).view(count * product.blocks, product.sizes[-1], 1)
                    values = torch.baddbmm(own, matrix, values).relu_()
                else:
                    values = torch.bmm(matrix, values)
                values = values.view(-1, rows)
        weight = next(sections).view(count, self.outputs, self.widths[-1])
        if self._bias_moves[-1].shape[1] > 1:
            weight = weight.gather(2, self._bias_moves[-1][:, None, :].expand_as(weight))
        return torch.baddbmm(next(sections)[:, :, None], weight, values.view(count, -1, rows))

    def step(self) -> None:
        """One step of AdamW in every network, on its next examples."""
        at = self._order.index_select(1, self._now)[:, 0]
        x, y = self.on.train
        inputs = x.index_select(0, at.flatten()).view(*at.shape, -1).transpose(1, 2).contiguous()
        labels = y.index_select(0, at.flatten()).view(at.shape).index_select(0, self._seed_of)
        loss = functional.cross_entropy(self.logits(inputs), labels, reduction="sum") / at.shape[1]
        (gradient,) = torch.autograd.grad(loss, self.theta)
        with torch.no_grad():
            self._update(gradient)

    def _update(self, gradient: Tensor) -> None:
        if self.gradient is not None:
            self.gradient.copy_(gradient)
        if self._masked:
            gradient = gradient * self.real
        pace, forget, correction, root = self._table.index_select(0, self._now)[0]
        rate = self._rate * pace
        self.theta.mul_(1 - rate * self._decay)
        self._mean.lerp_(gradient, forget)
        self._square.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
        self.theta.sub_(rate / correction * (self._mean / (self._square.sqrt().div_(root).add_(EPSILON))))
        self._now += 1

    def forget(self, places: Tensor) -> None:
        """Set parameters, chosen by a bool matrix, and AdamW's memories of them to zero."""
        for one in (self.theta.data, self._mean, self._square):
            one.masked_fill_(places, 0)

    def train(self, after: Callable[[Batch, int], None] | None = None) -> None:
        """All steps; ``after`` is called with the number of steps done. On a GPU the step is recorded and replayed."""
        replay = self.step
        for done in range(self.steps):
            if done == WARM_UP_STEPS and self.on.device.type == "cuda":
                replay = self._recorded()
            replay()
            if after is not None:
                after(self, done + 1)

    def _recorded(self) -> Callable[[], None]:
        """The step as a graph, which starts as one and not as a hundred kernels; told where that cannot be had."""
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.step()
        except RuntimeError as error:
            print(f"the step is not recorded, and slower: {' '.join(str(error).split())[:200]}", flush=True)
            torch.cuda.synchronize()
            return self.step
        return graph.replay  # type: ignore[no-any-return]

    @torch.no_grad()
    def right(self, part: tuple[Tensor, Tensor]) -> NDArray[np.bool_]:
        """Which examples each network labels rightly, ``(networks, examples)``."""
        seeds, found = self._order.shape[0], []
        for x, y in zip(*(one.split(SCORED_AT_ONCE) for one in part), strict=True):
            inputs = x.T[None].expand(seeds, -1, -1).contiguous()
            found.append(self.logits(inputs).argmax(1) == y)
        return torch.cat(found, 1).cpu().numpy()

    def weights(self, number: int) -> tuple[NDArray[np.float32], ...]:
        """The trainable weights of a network, for every place; see :class:`Trained`."""
        sections = torch.split(self.theta[number].detach(), self.sizes)
        found, at = [], 0
        for topology in self.jobs[number].places:
            parts = []
            for _ in topology.layers:
                kept = self.sizes[at] if self.jobs[number].regrown else self._real_edges[at][number]
                parts.append(sections[at][:kept])
                at += 1
            found.append(torch.cat(parts).cpu().numpy())
        return tuple(found)


def _multiplied_out(product: _Product, weights: Sequence[Tensor], count: int) -> Tensor:
    """The matrices of a run's blocks, ``(networks x blocks, outputs, inputs)``."""
    matrix: Tensor | None = None
    for (base, index), edges, before, after in zip(
        product.layers, weights, product.sizes, product.sizes[1:], strict=False
    ):
        layer = base.scatter(1, index, edges).view(count * product.blocks, after, before)
        matrix = layer if matrix is None else torch.bmm(layer, matrix)
    assert matrix is not None
    return matrix
