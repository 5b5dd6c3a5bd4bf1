"""Cutting a topology down to fewer inputs and outputs, and removing neurons that no longer matter.

Families that exist only at some sizes are built at the next admissible size and cropped. The highest-numbered
inputs and outputs go; a neuron that lies on no path from an input to an output goes too; a neuron that lost its
constant edge gets one again. Cropping a connected topology never loses an input-output pair: what remains of a
path between kept ends is the whole path.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from topologies.layer import Layer
from topologies.reach import alive
from topologies.stack import AnyTopology, the_topology
from topologies.topology import Topology


def crop(topology: AnyTopology, n_in: int, n_out: int) -> Topology:
    """The topology between its first ``n_in`` inputs and first ``n_out`` outputs, pruned.

    Raises
    ------
    ValueError
        When ``n_in`` or ``n_out`` is below 1 or above what the topology has, no path is left between them, or it is a
        stack of several places.
    """
    topology = the_topology(topology, "the stack")
    for name, wanted, there in (("n_in", n_in, topology.n_in), ("n_out", n_out, topology.n_out)):
        if not 1 <= wanted <= there:
            raise ValueError(f"{name} = {wanted}: crop to between 1 and the {there} that are there")
    inputs, outputs = np.arange(topology.n_in) < n_in, np.arange(topology.n_out) < n_out
    try:
        return between(topology, inputs, outputs)
    except ValueError:
        raise ValueError(f"no path leads from the first {n_in} inputs to the first {n_out} outputs") from None


def between(topology: Topology, inputs: NDArray[np.bool_], outputs: NDArray[np.bool_]) -> Topology:
    """The topology between the marked inputs, ``(n_in,)``, and outputs, ``(n_out,)``, pruned.

    Raises
    ------
    ValueError
        When no path is left between them.
    """
    hidden = alive(topology, inputs, outputs)[1:-1]
    if not all(kept.any() for kept in hidden):
        raise ValueError("no path leads from the inputs that are kept to the outputs that are kept")
    return select(topology, [inputs, *hidden, outputs])


def prune(topology: Topology) -> Topology:
    """The topology without hidden neurons that lie on no path from an input to an output."""
    return crop(topology, topology.n_in, topology.n_out)


def select(topology: Topology, keep: list[NDArray[np.bool_]]) -> Topology:
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
