"""What graph theory says of a topology, and the paper's four requirements (section VII-E) as one report.

Connectivity, paths, the narrowest cut, how fast a random walk forgets its input, and SynFlow's path score, the usual
data-free competitor. All are exact, deterministic and take milliseconds at n = 32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.controllability.evaluator import Controllability
from topologies.flow import greatest_flow
from topologies.initialise import bounds
from topologies.layer import Layer
from topologies.measures import path_counts
from topologies.product import product
from topologies.topology import Topology


@dataclass(frozen=True)
class Requirements:
    """The four requirements of section VII-E, and connectivity (III), which goes before them.

    ``connected``: the share of input-output pairs that have a path. ``skips``: the share of neurons with two or more
    edges in of which one is constant, 1 where there are no such neurons. ``unfairness``: the coefficient of variation
    of uniform K. ``depth``: its independence of the budget is a matter of families, not of one topology. ``bandwidth``:
    see :func:`bandwidth`; ``full_bandwidth`` is the most that the inputs and outputs have use for.
    """

    connected: float
    skips: float
    unfairness: float
    depth: int
    bandwidth: int
    full_bandwidth: int


def requirements(topology: Topology) -> Requirements:
    """How a topology stands to each requirement."""
    fed = [layer.fan_in >= 2 for layer in topology.layers]
    has_constant = [
        np.bincount(layer.targets[~layer.trainable], minlength=layer.n_out) > 0 for layer in topology.layers
    ]
    could, do = np.concatenate(fed), np.concatenate(has_constant)
    return Requirements(
        connected=float((path_counts(topology) > 0).mean()),
        skips=float(do[could].mean()) if could.any() else 1.0,
        unfairness=Controllability("uniform").analyse(topology).unfairness,
        depth=topology.depth,
        bandwidth=bandwidth(topology),
        full_bandwidth=min(topology.n_in, topology.n_out),
    )


@dataclass(frozen=True)
class Paths:
    """Least, mean and greatest number of paths of a pair, and their coefficient of variation (0 without paths)."""

    least: float
    mean: float
    most: float
    spread: float


def paths(topology: Topology) -> Paths:
    """Paths per input-output pair: how many ways there are, and how evenly pairs share in them."""
    counts = path_counts(topology)
    mean = float(counts.mean())
    relative = counts / counts.max() if counts.any() else counts  # squares of large counts would overflow
    spread = float(relative.std() / relative.mean()) if counts.any() else 0.0
    return Paths(float(counts.min()), mean, float(counts.max()), spread)


def bandwidth(topology: Topology) -> int:
    """The narrowest cut: the fewest neurons without which no path is left from any input to any output (VII-D).

    By Menger's theorem it is also the most paths from inputs to outputs that share no neuron, and the generic rank of
    the product matrix if all edges are trainable. Never more than the narrowest layer.
    """
    once = [np.ones(width, dtype=np.int64) for width in topology.widths]
    at_inputs = [once[0], *(np.zeros_like(of_layer) for of_layer in once[1:])]
    return greatest_flow(topology.layers, at_inputs, once).value


def spectral_gap(topology: Topology) -> float:
    """How well a random walk from a random input forgets where it began, in [0, 1].

    The walk leaves every neuron by any of its edges with equal probability; those that get stuck do not count. The gap
    is 1 minus the greatest correlation there is between a function of the input and a function of the output: 1 where
    they are independent (a butterfly of full depth), 0 where the topology falls apart in two. It is 1 minus the second
    singular value of the joint distribution, each entry over the root of its marginals. 0 where nothing is connected,
    1 where all walks begin at one input or end at one output.
    """
    walk = product(topology, [1 / layer.fan_out[layer.sources] for layer in topology.layers])
    joint = walk[walk.any(axis=1)][:, walk.any(axis=0)]
    if not joint.size:
        return 0.0
    if min(joint.shape) == 1:
        return 1.0
    scaled = joint / np.sqrt(np.outer(joint.sum(axis=1), joint.sum(axis=0)))
    return float(np.clip(1 - np.linalg.svd(scaled, compute_uv=False)[1], 0, 1))


def synflow(topology: Topology) -> float:
    """The logarithm of SynFlow's score in expectation over initial weights; -inf where no parameter is on a path.

    SynFlow (Tanaka and others, 2020) sums |w dR/dw| over the parameters, R being the sum of the product's entries with
    all weights replaced by their absolute values. Every path contributes the product of its weights once for each of
    its parameters. Weights are independent and uniform in (-r, r), so the expectation has each at r/2.
    """
    sizes = [np.where(layer.trainable, r / 2, 1.0) for layer, r in zip(topology.layers, bounds(topology), strict=True)]
    log, flow, score = 0.0, np.ones(topology.n_in), np.zeros(topology.n_in)
    for layer, size in zip(topology.layers, sizes, strict=True):
        gained = np.where(layer.trainable, flow[layer.sources], 0.0)
        score = _into(layer, size * (score[layer.sources] + gained))
        flow = _into(layer, size * flow[layer.sources])
        scale = max(float(flow.max()), np.finfo(np.float64).tiny)  # deep cascades would leave the range of floats
        log, flow, score = log + float(np.log(scale)), flow / scale, score / scale
    total = float(score.sum())
    return log + float(np.log(total)) if total > 0 else -np.inf


def _into(layer: Layer, of_edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum over the edges into each neuron, shape ``(n_out,)``."""
    return np.bincount(layer.targets, of_edges, layer.n_out).astype(np.float64)
