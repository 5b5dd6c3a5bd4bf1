"""Which edges are constant in layers without self edges (VII-A): spread evenly over the sources.

A neuron whose only edge would be constant keeps it trainable, or it could learn nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from topologies.crop import with_constants
from topologies.layer import Layer


def by_number(layer: Layer) -> Layer:
    """Neuron ``k`` takes its source number ``k`` mod fan-in: even where neighbours share their sources (Clos)."""
    return with_constants(layer, np.ones(layer.n_out, dtype=np.bool_))


def evenly(layer: Layer, times: int = 1) -> Layer:
    """So many constant edges per neuron such that each time no source has more of them than the edges force it to.

    For irregular layers whose edges are all trainable. Each time is a maximum matching by augmenting paths, in which a
    source first serves one neuron, then two, and so on until every neuron is served.
    """
    trainable = layer.trainable.copy()
    first_edge = np.cumsum(layer.fan_in) - layer.fan_in
    for _ in range(times):
        edges_of = [
            first + np.flatnonzero(trainable[first : first + fan])
            for first, fan in zip(first_edge, layer.fan_in, strict=True)
        ]
        wide = [edges for edges in edges_of if edges.size >= 2]
        sources_of = [layer.sources[edges].tolist() for edges in wide]
        for edges, sources, source in zip(wide, sources_of, _match(sources_of, layer.n_in), strict=True):
            trainable[edges[sources.index(source)]] = False
    return Layer(layer.n_in, layer.n_out, layer.sources, layer.targets, trainable)


def _match(sources_of: Sequence[Sequence[int]], n_sources: int) -> list[int]:
    """A source for every neuron, the most neurons that any source serves being as few as possible."""
    serves: list[list[int]] = [[] for _ in range(n_sources)]
    chosen = [-1] * len(sources_of)
    waiting, limit = list(range(len(sources_of))), 1
    while waiting:
        full: set[int] = set()
        waiting = [neuron for neuron in waiting if not _augment(neuron, sources_of, serves, chosen, limit, full)]
        limit += 1
    return chosen


def _augment(
    neuron: int,
    sources_of: Sequence[Sequence[int]],
    serves: list[list[int]],
    chosen: list[int],
    limit: int,
    full: set[int],
) -> bool:
    """Serve one more neuron, letting others change their source where that helps; False if none can be found.

    Sources that a vain search came to are noted in ``full``: they lead to no free one until the limit is raised.
    """
    asked_by: dict[int, int] = {}
    queue = deque([neuron])
    while queue:
        asking = queue.popleft()
        for source in sources_of[asking]:
            if source in asked_by or source in full:
                continue
            asked_by[source] = asking
            if len(serves[source]) < limit:
                _hand_over(source, asked_by, serves, chosen)
                return True
            queue.extend(serves[source])
    full.update(asked_by)
    return False


def _hand_over(source: int, asked_by: dict[int, int], serves: list[list[int]], chosen: list[int]) -> None:
    """Give a free source to the neuron that asked for it, that neuron's own source to who asked for that, and so on."""
    while source >= 0:
        neuron = asked_by[source]
        released = chosen[neuron]
        chosen[neuron] = source
        serves[source].append(neuron)
        if released >= 0:
            serves[released].remove(neuron)
        source = released
