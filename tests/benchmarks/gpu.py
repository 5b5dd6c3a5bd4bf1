"""``python -m tests.benchmarks.gpu``: the GPU kernel against padded ``bmm`` in CUDA graphs, a population at a time.

Both sides have the same candidates, targets, starts, rates and steps. Prints one line where there is no GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from evaluators.reconstruction import cpu, gpu_driver
from evaluators.reconstruction.gpu import train_many, train_on
from evaluators.reconstruction.gpu_layout import Batch, Pace, Problem
from evaluators.reconstruction.schedule import EPSILON, Schedule, one_cycle
from tests.benchmarks.afternoon import dense_layers
from tests.benchmarks.problems import CANDIDATES, TARGETS, geometric_mean, problem, table
from topologies import Topology

POPULATION, STEPS, PEAKS = 64, 2000, (0.1, 0.3, 1.0)
PADDED_STEPS = 200
"""Enough to time a step of the padded chain."""
CHECKED_STEPS = 100
"""Of the comparison with the CPU kernel, bit by bit."""


def main() -> None:
    """Print the table."""
    console = Console()
    try:
        gpu_driver.describe()
    except RuntimeError as reason:
        console.print(f"no GPU to measure: {reason}", markup=False)
        return
    if not torch.cuda.is_available():
        console.print("the comparison needs a PyTorch that was built for CUDA", markup=False)
        return
    console.print(check(list(CANDIDATES.values())))
    console.print(populations_table())


def check(candidates: Sequence[Topology]) -> str:
    """Whether CPU and GPU give the same bits."""
    schedule, problems = one_cycle(CHECKED_STEPS), [asked(topology) for topology in candidates]
    same = [
        all(map(np.array_equal, found, cpu.train(*given, schedule)))
        for given, found in zip(problems, train_many(problems, schedule), strict=True)
    ]
    return f"{sum(same)} of {len(same)} candidates have the same bits on CPU and GPU after {CHECKED_STEPS} steps"


def populations_table() -> Table:
    """Each candidate as a whole population, then all of them mixed."""
    name, peak_rate = torch.cuda.get_device_properties(0).name, float32_rate()
    work = f"{POPULATION} candidates, {TARGETS} targets, {len(PEAKS)} rates, {STEPS} steps"
    result = table(
        f"{work}; {name}, {peak_rate / 1e12:.0f} Tflop/s in float32",
        *("population", "seconds", "of it on the GPU", "share of peak", "padded bmm, seconds", "padded over ours"),
    )
    everyone = list(CANDIDATES.values())
    mixed = [everyone[i % len(everyone)] for i in range(POPULATION)]
    ratios = []
    for name, population in {**{name: [one] * POPULATION for name, one in CANDIDATES.items()}, "mixed": mixed}.items():
        total, on_gpu = ours(population, one_cycle(STEPS))
        padded = padded_seconds(population, one_cycle(PADDED_STEPS), torch.device("cuda")) * STEPS / PADDED_STEPS
        operations = sum(6 * one.n_edges * one.n_in for one in population) * TARGETS * len(PEAKS) * STEPS
        ratios.append(padded / total)
        numbers = (f"{total:.3f}", f"{on_gpu:.3f}", f"{operations / on_gpu / peak_rate:.1%}", f"{padded:.2f}")
        result.add_row(name, *numbers, f"{ratios[-1]:.1f}")
    result.add_row("geometric mean", "", "", "", "", f"{geometric_mean(ratios):.1f}")
    return result


def asked(topology: Topology) -> Problem:
    """Every target at every rate."""
    weights, goals = problem(topology)
    rates = np.repeat(PEAKS, TARGETS)
    return Problem(topology, np.tile(weights, (len(PEAKS), 1)), np.tile(goals, (len(PEAKS), 1, 1)), rates)


def ours(population: Sequence[Topology], schedule: Schedule) -> tuple[float, float]:
    """Seconds of the whole call, and of the GPU's part: copies, kernel and copies back. The second of two runs."""
    problems = [asked(topology) for topology in population]
    on_gpu = 0.0

    def timed(batch: Batch, pace: Pace) -> None:
        nonlocal on_gpu
        start = time.perf_counter()
        gpu_driver.run(batch, pace)
        on_gpu += time.perf_counter() - start

    train_on(gpu_driver.describe(), gpu_driver.run, problems, one_cycle(2))
    start = time.perf_counter()
    train_on(gpu_driver.describe(), timed, problems, schedule)
    return time.perf_counter() - start, on_gpu


def padded_seconds(population: Sequence[Topology], schedule: Schedule, device: torch.device) -> float:
    """Seconds of all steps of the padded chain, captured in a CUDA graph and replayed."""
    step, _ = padded_chain(population, schedule, device)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in schedule.rates:
        graph.replay()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def padded_chain(
    population: Sequence[Topology], schedule: Schedule, device: torch.device
) -> tuple[Callable[[], None], torch.Tensor]:
    """One Adam step of all candidates, padded to one width and depth; and the least errors it keeps.

    A step reads nothing from the host, so that it can be captured. Missing layers are identities; each rate has its
    own parameters and its own chain. The errors have shape ``(rates, candidates, targets)``.
    """
    width = max(max(topology.widths) for topology in population)
    depth = max(topology.depth for topology in population)
    n_in, n_out = population[0].n_in, population[0].n_out
    trainable = torch.zeros(depth, len(population), 1, width, width)
    constant = torch.eye(width).repeat(depth, len(population), 1, 1, 1)
    start = torch.zeros(depth, len(population), TARGETS, width, width)
    for place, topology in enumerate(population):
        weights, goals = problem(topology)
        for level, (mask, dense) in enumerate(zip(topology.masks(), dense_layers(topology, weights), strict=True)):
            rows, columns = mask.shape
            trainable[level, place, 0, :rows, :columns] = torch.tensor(mask == 1, dtype=torch.float32)
            constant[level, place] = 0
            constant[level, place, 0, :rows, :columns] = torch.tensor(mask == 2, dtype=torch.float32)
            start[level, place, :, :rows, :columns] = dense
    trainable, constant, goal = trainable.to(device), constant.to(device), torch.tensor(goals, device=device)
    parameters = [torch.nn.Parameter(start.to(device, copy=True)) for _ in PEAKS]
    paces = [torch.zeros((), device=device) for _ in PEAKS]
    groups = [{"params": [parameter], "lr": pace} for parameter, pace in zip(parameters, paces, strict=True)]
    betas, capturable = (schedule.beta_1, schedule.beta_2), device.type == "cuda"
    adam = torch.optim.Adam(groups, betas=betas, eps=EPSILON, fused=True, capturable=capturable)
    best = torch.full((len(PEAKS), len(population), TARGETS), torch.inf, device=device)
    relative, now = torch.tensor(schedule.rates, device=device), torch.zeros(1, dtype=torch.long, device=device)

    def step() -> None:
        adam.zero_grad(set_to_none=True)
        for peak, pace, parameter, least in zip(PEAKS, paces, parameters, best, strict=True):
            pace.copy_(peak * relative[now % len(relative)].squeeze())
            layers = (parameter * trainable + constant).flatten(1, 2)
            product = layers[0]
            for level in range(1, depth):
                product = torch.bmm(product, layers[level])
            products = product.unflatten(0, (len(population), TARGETS))[..., :n_in, :n_out]
            errors = (products - goal).square().sum((2, 3))
            torch.minimum(least, errors.detach(), out=least)
            errors.sum().backward()
        adam.step()
        now.add_(1)

    return step, best


def float32_rate() -> float:
    """Operations a second that the GPU's float32 units reach at the most, by its data record's numbers."""
    from cuda.bindings import driver

    properties = torch.cuda.get_device_properties(0)
    units = 64 if (properties.major, properties.minor) in {(7, 0), (7, 5), (8, 0)} else 128
    _, kilohertz = driver.cuDeviceGetAttribute(driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 0)
    return 2 * units * properties.multi_processor_count * 1e3 * kilohertz


if __name__ == "__main__":
    main()
