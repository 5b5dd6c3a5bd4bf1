"""Cutting a topology down to fewer inputs and outputs, and removing neurons that no longer matter.

Families that exist only at some sizes are built at the next admissible size and cropped. The highest-numbered
inputs and outputs go; a neuron that lies on no path from an input to an output goes too; a neuron that lost its
constant edge gets one again. Cropping a connected topology never loses an input-output pair: what remains of a
path between kept ends is the whole path.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from topologies.topology import Layer, Topology, step

_Keep = list[NDArray[np.bool_]]


def crop(topology: Topology, n_in: int, n_out: int) -> Topology:
    """The topology between its first ``n_in`` inputs and first ``n_out`` outputs, pruned.

    Raises
    ------
    ValueError
        When ``n_in`` or ``n_out`` is below 1 or above what the topology has, or no path is left between them.
    """
    for name, wanted, there in (("n_in", n_in, topology.n_in), ("n_out", n_out, topology.n_out)):
        if not 1 <= wanted <= there:
            raise ValueError(f"{name} = {wanted}: crop to between 1 and the {there} that are there")
    keep = [np.ones(width, dtype=np.bool_) for width in topology.widths]
    keep[0][n_in:] = False
    keep[-1][n_out:] = False
    alive = _alive(topology, keep)
    if not all(kept.any() for kept in alive):
        raise ValueError(f"no path leads from the first {n_in} inputs to the first {n_out} outputs")
    return select(topology, alive)


def prune(topology: Topology) -> Topology:
    """The topology without hidden neurons that lie on no path from an input to an output."""
    return crop(topology, topology.n_in, topology.n_out)


def select(topology: Topology, keep: _Keep) -> Topology:
    """The topology between the neurons marked in ``keep`` (one bool array a layer of neurons).

    A neuron that lost its constant edge gets one again while it has two edges or more.
    """
    numbers = [np.cumsum(kept) - 1 for kept in keep]
    layers = []
    for place, layer in enumerate(topology.layers):
        stays = keep[place][layer.sources] & keep[place + 1][layer.targets]
        had_constant = np.zeros(layer.n_out, dtype=np.bool_)
        had_constant[layer.targets[~layer.trainable]] = True
        left = Layer(
            int(keep[place].sum()),
            int(keep[place + 1].sum()),
            numbers[place][layer.sources[stays]],
            numbers[place + 1][layer.targets[stays]],
            layer.trainable[stays],
        )
        layers.append(with_constants(left, had_constant[keep[place + 1]]))
    return Topology(tuple(layers))


def with_constants(layer: Layer, wanted: NDArray[np.bool_]) -> Layer:
    """Give each neuron in ``wanted`` (bool, ``(n_out,)``) that has no constant edge one, if it has two edges.

    The edge is chosen by the neuron's number modulo its fan-in, which spreads the constants over the sources.
    """
    has = np.zeros(layer.n_out, dtype=np.bool_)
    has[layer.targets[~layer.trainable]] = True
    needy = np.flatnonzero(wanted & ~has & (layer.fan_in >= 2))
    first_edge = np.cumsum(layer.fan_in) - layer.fan_in
    trainable = layer.trainable.copy()
    trainable[first_edge[needy] + needy % layer.fan_in[needy]] = False
    return Layer(layer.n_in, layer.n_out, layer.sources, layer.targets, trainable)


def _alive(topology: Topology, keep: _Keep) -> _Keep:
    """Narrow ``keep`` to hidden neurons on some path from a kept input to a kept output; the ends stay."""
    forward = [keep[0][None, :]]
    for layer in topology.layers:
        forward.append(step(forward[-1], layer))
    backward = [keep[-1][None, :]]
    for layer in reversed(topology.layers):
        reversed_layer = Layer(layer.n_out, layer.n_in, layer.targets, layer.sources, layer.trainable)
        backward.append(step(backward[-1], reversed_layer))
    hidden = [(ahead & back)[0] for ahead, back in zip(forward[1:-1], reversed(backward[1:-1]), strict=True)]
    return [keep[0], *hidden, keep[-1]]
