"""The uniform reading of controllability compiled: cheap enough to be noted of every candidate.

In this reading control over a pair of inputs does not depend on their order, so that unordered pairs are followed, and
Eq. 9 says that none is above one half. Sums are made in one fixed order of float64 without any library, so that all
machines find the same bits. The plain form is :func:`evaluators.controllability.model.uniform`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from topologies.kernel.compiled import compiled
from topologies.topology import Topology


def uniform_matrix(topology: Topology, by_pair: bool) -> NDArray[np.float64]:
    """K of the uniform reading, shape ``(n_in, n_out)``.

    With E edges it takes ``E n_in² / 2`` additions by pairs and ``E n_in`` summed, where one training step of a
    reconstruction takes some ``6 E n_in``; and the bytes of two layers' control.
    """
    layers = topology.layers
    edges = np.array([0, *np.cumsum([layer.n_edges for layer in layers])])
    parts = ([getattr(layer, name) for layer in layers] for name in ("sources", "targets", "trainable"))
    return np.asarray(_uniform(np.array(topology.widths), edges, *map(np.concatenate, parts), by_pair))


@compiled
def _uniform(widths, edges, sources, targets, trainable, by_pair):  # type: ignore[no-untyped-def]
    """K; ``edges[l]`` is the place of the first edge of layer l, and columns are inputs or unordered pairs of them."""
    n_in = widths[0]
    columns = n_in * (n_in - 1) // 2 if by_pair else n_in
    control = np.zeros((n_in, columns))
    sees = np.eye(n_in) > 0
    for layer in range(widths.size - 1):
        width = widths[layer + 1]
        first, last = edges[layer], edges[layer + 1]
        fan_out, fan_in, free = np.zeros(widths[layer]), np.zeros(width), np.zeros(width)
        for edge in range(first, last):
            fan_out[sources[edge]] += 1
            fan_in[targets[edge]] += 1
            free[targets[edge]] += trainable[edge]
        for source in range(widths[layer]):
            share = 1 / max(fan_out[source], 1.0)  # control splits evenly over the edges
            for column in range(columns):
                control[source, column] *= share
        arriving = np.zeros((width, columns))
        seen = np.zeros((width, n_in), np.bool_)
        for edge in range(first, last):
            source, target = sources[edge], targets[edge]
            for i in range(n_in):
                seen[target, i] |= sees[source, i]
            if layer:  # inputs have no control
                for column in range(columns):
                    arriving[target, column] += control[source, column]
        for target in range(width):
            added = min(free[target], max(fan_in[target] - 1, 0.0))
            _add(arriving[target], seen[target], added, by_pair)
        control, sees = arriving, seen
    return _by_input(control, n_in) if by_pair else control.T.copy()


@compiled
def _add(control, sees, added, by_pair):  # type: ignore[no-untyped-def]
    """Spread what a neuron can add over what it sees, and cut its control down to what Eq. 9 and 11 allow."""
    places = np.flatnonzero(sees)
    count = places.size
    room = max(count - 1, 1)
    if count > 1 and by_pair:
        share = added / (count * (count - 1))
        for one in range(count):
            before = places[one] * (2 * sees.size - places[one] - 1) // 2 - places[one] - 1
            for other in range(one + 1, count):
                control[before + places[other]] += share
        for column in range(control.size):
            control[column] = min(control[column], 0.5)
    elif count > 1:
        share = added / count
        for place in places:
            control[place] += share
    total = 0.0
    for column in range(control.size):
        total += control[column]
    total *= 2 if by_pair else 1
    scale = room / max(total, room)
    if scale < 1:
        for column in range(control.size):
            control[column] *= scale


@compiled
def _by_input(control, n_in):  # type: ignore[no-untyped-def]
    """Control over each input against all others, ``(n_in, neurons)``, of that over unordered pairs."""
    found = np.zeros((n_in, len(control)))
    for neuron in range(len(control)):
        column = 0
        for i in range(n_in):
            for j in range(i + 1, n_in):
                found[i, neuron] += control[neuron, column]
                found[j, neuron] += control[neuron, column]
                column += 1
    return found
