"""The parts that a cascade falls into, and what each has of every layer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from topologies.kernel.components import components
from topologies.topology import Topology

_Integers = NDArray[np.integer]

PART = 4096
"""Hidden neurons of a part at least: smaller ones are joined, since each adds its share to the outputs anew."""


def _labels(topology: Topology) -> tuple[int, list[NDArray[np.int64]]]:
    """How many parts there are, and the part of each hidden neuron, layer by layer."""
    count, labels = components(topology.widths[1:-1], topology.layers[1:-1])
    sizes = sum((np.bincount(label, minlength=count) for label in labels), start=np.zeros(count, np.int64))
    parts, filled, part = [0] * count, 0, 0
    for component, size in enumerate(sizes.tolist()):
        if filled >= PART:
            part, filled = part + 1, 0
        parts[component] = part
        filled += size
    return part + 1, [np.array(parts)[label] for label in labels]


class Stage(NamedTuple):
    """What a part has of one layer."""

    width: int
    trainable_counts: _Integers
    constant_counts: _Integers
    trainable_sources: _Integers
    constant_sources: _Integers
    names: _Integers
    order: _Integers


def stages_of(topology: Topology) -> list[list[Stage]]:
    """For every part what it has of every layer."""
    count, labels = _labels(topology)
    found: list[list[Stage]] = [[] for _ in range(count)]
    first, before, widths = 0, np.arange(topology.n_in), [topology.n_in] * count
    for number, layer in enumerate(topology.layers):
        last = number == topology.depth - 1
        label = np.zeros(layer.n_out, np.int64) if last else labels[number]
        after = np.arange(layer.n_out) if last else _ranks(label)
        owner = labels[-1][layer.sources] if last and labels else label[layer.targets]
        sort = np.argsort(owner, kind="stable")
        ends = np.cumsum(np.bincount(owner, minlength=count))
        columns = (before[layer.sources], after[layer.targets], layer.trainable, first + np.cumsum(layer.trainable) - 1)
        split = [np.split(column[sort], ends[:-1]) for column in columns]
        for part, (sources, targets, kinds, order) in enumerate(zip(*split, strict=True)):
            names = np.flatnonzero(label == part)
            if last and count > 1:
                names, targets = np.unique(targets, return_inverse=True)
            elif last:
                names = after
            counts, others = (np.bincount(targets[kind], minlength=names.size) for kind in (kinds, ~kinds))
            stage = Stage(widths[part], counts, others, sources[kinds], sources[~kinds], names, order[kinds])
            found[part].append(stage)
            widths[part] = names.size
        first, before = first + layer.n_trainable, after
    return found


def _ranks(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of every neuron among those of its layer that have the same label."""
    sort = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    ranks = np.empty_like(labels)
    ranks[sort] = np.arange(labels.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return ranks
