"""From the layers of a family to its topology: ends cropped, a diagonal layer appended."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from topologies.families.constants import by_number
from topologies.layer import Layer
from topologies.topology import Topology


def assemble(layers: Iterable[Layer], n_in: int, n_out: int, diagonal: bool) -> Topology:
    """The cascade of ``layers``, cropped to ``n_in`` inputs and ``n_out`` outputs.

    ``diagonal`` appends one trainable edge per output, which learns magnitudes only (paper, appendix A).
    """
    topology = Topology(tuple(layers))
    if (topology.n_in, topology.n_out) != (n_in, n_out):
        cropped = topology.crop(n_in, n_out)
        topology = Topology(tuple(_free_only_edges(layer) for layer in cropped.layers))
    if diagonal:
        outputs = np.arange(n_out)
        topology = Topology((*topology.layers, Layer(n_out, n_out, outputs, outputs, np.ones(n_out, dtype=np.bool_))))
    return topology


def dense_layer(n_in: int, n_out: int, skip: bool) -> Layer:
    """Every neuron joined with every other one."""
    targets, sources = np.divmod(np.arange(n_in * n_out), n_in)
    layer = Layer(n_in, n_out, sources, targets, np.ones(n_in * n_out, dtype=np.bool_))
    return by_number(layer) if skip else layer


def _free_only_edges(layer: Layer) -> Layer:
    """A neuron that cropping left with a constant edge alone could learn nothing: that edge becomes trainable."""
    trainable = layer.trainable | (layer.fan_in == 1)[layer.targets]
    return Layer(layer.n_in, layer.n_out, layer.sources, layer.targets, trainable)
