"""Do scores hold outside the sampler that they were made on? Rank correlations with the error, sampler by sampler.

Eight samplers draw topologies of one size and budget: members of the families; members after a few steps of variation;
structured random ones, as the study of proxies has them; ones whose layers have very different numbers of constants;
bottlenecks and bulges; ones without constants; ones of unbalanced fans; and laws, as rules have them. Scores are those
that need no target, and reconstructions that train for a little, on other targets. Nothing is fitted: every sampler is
one that the scores have not seen, but for the first three, on the like of which capacity's constants were chosen.

    python -m tests.benchmarks.scores --budgets 160 320 640 --count 24
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from evaluators import Fidelity, MatrixReconstruction, Split
from evaluators.proxies.registry import measure
from evaluators.reconstruction import short
from evaluators.rng import generator
from evo.report.correlation import spearman
from evo.studies.proxies.sample import draw_sample
from evo.studies.rules.breed import START
from evo.variation.bounds import Bounds
from evo.variation.edges import apportion
from evo.variation.redraw import drawn
from evo.variation.repair import repair
from topologies import butterfly
from topologies.entries import TRAINABLE
from topologies.families import HAND_DERIVED
from topologies.families.rule import BOUNDS, Rule, Wiring
from topologies.families.ruled import ruled
from topologies.topology import Topology

RECONSTRUCTION = MatrixReconstruction()
FULL = Fidelity(16, 2000, (0.3, 1.0, 2.4))
SHORT = {"4 targets x 300 steps": Fidelity(4, 300, (0.6,)), "default score": short.SHORT}
SCORES = ("capacity", "bandwidth", "tangent_rank", "synflow")
FEW = 8
"""Topologies below which a rank correlation says nothing."""
DRAWS = 400
"""Attempts of a sampler at most."""

Draw = Callable[[int, Bounds, np.random.Generator], Topology | None]


def _shape(n: int, bounds: Bounds, key: np.random.Generator, narrow: float, wide: float) -> list[int]:
    depth = int(key.integers(2, bounds.max_depth, endpoint=True))
    hidden = n * 2 ** key.uniform(np.log2(narrow), np.log2(wide), depth - 1)
    return [n, *np.maximum(2, np.rint(hidden)).astype(int).tolist(), n]


def _constants(n: int, bounds: Bounds, key: np.random.Generator) -> Topology | None:
    widths = _shape(n, bounds, key, 0.5, 2)
    wanted = [float(key.choice([0, 0.5, 1, 2, 4])) * width for width in widths[1:]]
    return repair(drawn(widths, wanted, key.dirichlet(np.full(len(wanted), 2.0)), bounds.budget, key), bounds, key)


def _bulges(n: int, bounds: Bounds, key: np.random.Generator) -> Topology | None:
    widths = _shape(n, bounds, key, 0.2, 4)
    ends = [before + after for before, after in pairwise(widths)]
    return repair(drawn(widths, [*map(float, widths[1:])], ends, bounds.budget, key), bounds, key)


def _bare(n: int, bounds: Bounds, key: np.random.Generator) -> Topology | None:
    widths = _shape(n, bounds, key, 0.5, 2)
    ends = [before + after for before, after in pairwise(widths)]
    return repair(drawn(widths, [0.0] * len(ends), ends, bounds.budget, key), bounds, key)


def _unbalanced(n: int, bounds: Bounds, key: np.random.Generator) -> Topology | None:
    """Some neurons have many edges and most have few, as by a law of powers."""
    widths = _shape(n, bounds, key, 0.5, 2)
    masks = drawn(widths, [*map(float, widths[1:])], np.ones(len(widths) - 1), 0, key)
    room = [int((mask == 0).sum()) for mask in masks]
    for mask, edges in zip(masks, apportion(bounds.budget, np.ones(len(masks)), room), strict=True):
        weights = np.outer(*(key.pareto(1.5, side) + 0.1 for side in mask.shape)) * (mask == 0)
        cells = key.choice(mask.size, int(edges), replace=False, p=weights.ravel() / weights.sum())
        mask.ravel()[cells] = TRAINABLE
    return repair(masks, bounds, key)


def _law(n: int, bounds: Bounds, key: np.random.Generator) -> Topology | None:
    low, high = np.array([*BOUNDS.values()]).T
    numbers = np.array(START.numbers) + key.normal(0, (high - low) / 6)
    return ruled(Rule.of(numbers, key.choice([*Wiring])), n, n, bounds.budget, int(key.integers(2**32)))


SAMPLERS: dict[str, Draw] = {
    "constants": _constants,
    "bulges": _bulges,
    "no constants": _bare,
    "unbalanced fans": _unbalanced,
    "laws": _law,
}


def samples(n: int, budget: int, count: int) -> Iterator[tuple[str, list[Topology]]]:
    """Every sampler's topologies."""
    structured = draw_sample(n, budget, 4 * count, seed=1)
    for name, kinds in (("families", HAND_DERIVED), ("perturbed", ("perturbed",)), ("structured", ("random",))):
        yield name, [one.topology for one in structured if one.family in kinds][:count]
    bounds = Bounds(budget, max_depth=1 + budget // n, max_width=4 * n, max_edges=5 * budget)
    for name, draw in SAMPLERS.items():
        found: dict[str, Topology] = {}
        for attempt in range(DRAWS):
            one = draw(n, bounds, generator(1, name, n, budget, attempt))
            if len(found) < count and one is not None:
                found.setdefault(one.canonical.digest, one.canonical)
        yield name, list(found.values())


def main() -> None:
    """A table of Spearman's correlations for every budget: a line a sampler, a column a score."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scores", description=__doc__)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--budgets", type=int, nargs="+", default=[160, 320, 640])
    parser.add_argument("--count", type=int, default=24)
    given = parser.parse_args()
    names = (*SCORES, *SHORT)
    for name in (*names, "full"):
        _score(name, butterfly(given.size, 1))  # whose kernels are loaded by then
    for budget in given.budgets:
        spent = dict.fromkeys((*names, "full"), 0.0)
        worst = dict.fromkeys(names, 1.0)
        print(f"\n| {budget} edges | drawn | errors | " + " | ".join(names) + " |\n" + "|---" * (3 + len(names)) + "|")
        for sampler, topologies in samples(given.size, budget, given.count):
            if len(topologies) < FEW:
                print(f"| {sampler} | {len(topologies)} | too few |", flush=True)
                continue
            columns = {name: [] for name in spent}
            for topology in topologies:
                for name, column in columns.items():
                    start = time.process_time()
                    column.append(_score(name, topology))
                    spent[name] += time.process_time() - start
            errors = columns.pop("full")
            cells = []
            for name, column in columns.items():
                found = spearman(column, errors)
                worst[name] = min(worst[name], found.value)
                cells.append(f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]")
            ends = f"{min(errors):.3f} to {max(errors):.3f}"
            print(f"| {sampler} | {len(errors)} | {ends} | " + " | ".join(cells) + " |", flush=True)
        print("| **worst** | | | " + " | ".join(f"{worst[name]:.2f}" for name in names) + " |")
        cost = (f"{spent[name] / spent['full']:.4f}" for name in names)
        print("| cost, of an error's | | | " + " | ".join(cost) + " |", flush=True)


def _score(name: str, topology: Topology) -> float:
    if name in SCORES:
        return measure(name, topology)
    if name == "full":
        return RECONSTRUCTION.evaluate(topology, FULL, Split.TEST, 1).error
    return RECONSTRUCTION.evaluate(topology, SHORT[name], Split.SEARCH, 1).error


if __name__ == "__main__":
    main()
