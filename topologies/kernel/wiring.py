"""The edges of a cascade in the order in which the compiled kernels read them, as one array of bytes.

One array, because that is what a program exported from PyTorch can carry; and small, because it lives as long as its
layer: two bytes an edge and about two a neuron, where a :class:`topologies.topology.Topology` has nine an edge; with
several parts, four more for each weight. The topology can be made from it again.

A cascade falls into *parts*: hidden neurons that hang together only through inputs and outputs, like the copies of a
parallel butterfly. The hidden values of a part are needed by nobody else, so kernels go through the cascade part by
part and find them in cache. The edges of one layer of one part are a *stage*.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from topologies.kernel.parts import stages_of
from topologies.layer import Layer
from topologies.topology import Topology

_Integers = NDArray[np.integer]

NEURON, END, TRAINABLE, CONSTANT, WIDTH, PAIRED = range(6)
"""Columns of :attr:`Wiring.stages`."""


class Edges(NamedTuple):
    """The edges as the kernels read them, part by part, layer by layer, target by target.

    Attributes
    ----------
    parts, depth, n_in, n_out:
        Parts of the cascade, its layers, inputs and outputs.
    stages:
        A row for every stage, ``(parts * depth, 6)``: the first of the neurons that its edges go to and one past their
        last, its first trainable and its first constant edge, how many neurons its edges may come from, and whether one
        edge of either kind goes into each of its neurons, as in a parallel butterfly.
    trainable_counts, constant_counts:
        Edges of either kind into each neuron.
    trainable_sources, constant_sources:
        Where these edges come from: the place among the part's neurons of the layer before.
    names:
        What number each neuron has in its layer. Empty where there is one part, whose neurons are whole layers. The
        last stage of a part among several has only the outputs that it has edges to.
    order:
        Which of the cascade's trainable weights each trainable edge has. Empty where they are in order.
    """

    parts: int
    depth: int
    n_in: int
    n_out: int
    stages: NDArray[np.int64]
    trainable_counts: _Integers
    constant_counts: _Integers
    trainable_sources: _Integers
    constant_sources: _Integers
    names: _Integers
    order: _Integers


@dataclass(frozen=True, eq=False)
class Wiring:
    """What a layer keeps of its topology.

    Attributes
    ----------
    image:
        All of it in one tensor of bytes on the CPU, of which the arrays are views.
    n_in, n_out:
        Sizes of the dense layer that the cascade replaces.
    n_trainable:
        How many weights it has.
    widths:
        Neurons of every layer, inputs first, ``(depth + 1,)``.
    edges:
        What the kernels read.
    derived:
        What other ways than the compiled kernels have made of the wiring, by their name and device.
    """

    image: Tensor
    n_in: int
    n_out: int
    n_trainable: int
    widths: NDArray[np.int64]
    edges: Edges
    derived: dict[tuple[str, torch.device], Any] = field(default_factory=dict)

    @staticmethod
    def of(topology: Topology) -> Wiring:
        """The wiring of a topology, in time proportional to its edges; layers of equal topologies share it."""
        made = _made.get(topology)
        if made is None:
            made = _made[topology] = Wiring._of(topology)
        return made

    @staticmethod
    def _of(topology: Topology) -> Wiring:
        found = stages_of(topology)
        stages = [stage for part in found for stage in part]
        before, *columns = zip(*stages, strict=True)
        trainable, constant, sources, constant_sources, names, order = map(np.concatenate, columns)
        sizes = np.array([[s.names.size, s.trainable_sources.size, s.constant_sources.size] for s in stages])
        firsts = np.cumsum(sizes, axis=0) - sizes
        paired = [np.all(s.trainable_counts == 1) and np.all(s.constant_counts == 1) for s in stages]
        table = np.column_stack([firsts[:, 0], firsts[:, 0] + sizes[:, 0], firsts[:, 1:], before, paired])
        widths = np.array(topology.widths)
        source = _smallest(max(before) - 1, np.uint16)
        count = _smallest(max(trainable.max(), constant.max()), np.uint8)
        return Wiring.read(
            _image(
                widths.astype(np.int64),
                table.astype(np.int64),
                trainable.astype(count),
                constant.astype(count),
                sources.astype(source),
                constant_sources.astype(source),
                names.astype(_smallest(widths.max() - 1, np.uint16))[: names.size if len(found) > 1 else 0],
                np.zeros(0, np.int32) if np.array_equal(order, np.arange(order.size)) else order.astype(np.int32),
            )
        )

    @staticmethod
    def read(image: Tensor) -> Wiring:
        """The wiring that an ``image`` holds: nothing is copied, unless it was moved to a GPU with a program."""
        image = image.cpu()
        whole = image.numpy()
        header, start, arrays = whole[:_HEADER].view(np.int64).reshape(-1, 2), _HEADER, []
        for kind, size in header.tolist():
            dtype = _KINDS[kind]
            arrays.append(whole[start : start + size * dtype.itemsize].view(dtype))
            start += _padded(size * dtype.itemsize)
        widths, stages, *others = arrays
        n_in, n_out, depth = int(widths[0]), int(widths[-1]), widths.size - 1
        stages = stages.reshape(-1, PAIRED + 1)
        edges = Edges(len(stages) // depth, depth, n_in, n_out, stages, *others)
        return Wiring(image, n_in, n_out, edges.trainable_sources.size, widths, edges)

    @cached_property
    def back(self) -> tuple[NDArray[np.int64], int]:
        """For the way back, where a place for each source of a stage and one more begin, and how many there are."""
        widths = self.edges.stages[:, WIDTH] + 1
        return np.cumsum(widths) - widths, int(widths.sum())

    @cached_property
    def widest(self) -> int:
        """The most neurons that a part has in one hidden layer."""
        return int(self._hidden.max(initial=0))

    @cached_property
    def hidden(self) -> int:
        """The most hidden neurons that a part has."""
        return int(self._hidden.sum(axis=1).max())

    @property
    def _hidden(self) -> NDArray[np.int64]:
        return self.edges.stages[:, WIDTH].reshape(-1, self.edges.depth)[:, 1:]

    def __deepcopy__(self, _: dict[int, Any]) -> Wiring:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Wiring.read, (self.image,)

    def topology(self) -> Topology:
        """The topology whose wiring this is."""
        found: list[list[tuple[_Integers, _Integers, bool]]] = [[] for _ in self.widths[1:]]
        edges = self.edges
        before: _Integers = np.arange(0)
        for number, (neuron, end, trainable, constant, width, _) in enumerate(edges.stages.tolist()):
            layer = number % edges.depth
            named = edges.names[neuron:end] if edges.names.size else np.arange(end - neuron)
            before = np.arange(width) if layer == 0 else before
            for first, counts, sources, kind in (
                (trainable, edges.trainable_counts, edges.trainable_sources, True),
                (constant, edges.constant_counts, edges.constant_sources, False),
            ):
                targets = np.repeat(named, counts[neuron:end])
                found[layer].append((before[sources[first : first + targets.size]], targets, kind))
            before = named
        layers = []
        for (n_in, n_out), of_layer in zip(pairwise(self.widths.tolist()), found, strict=True):
            ends = [np.concatenate(column) for column in zip(*((a, b) for a, b, _ in of_layer), strict=True)]
            kinds = np.concatenate([np.full(a.size, kind) for a, _, kind in of_layer])
            layers.append(Layer(n_in, n_out, ends[0], ends[1], kinds))
        return Topology(tuple(layers))


_made: WeakKeyDictionary[Topology, Wiring] = WeakKeyDictionary()

_KINDS = tuple(np.dtype(kind) for kind in (np.uint8, np.uint16, np.int32, np.int64))
_HEADER = 16 * 8


def _smallest(most: int, least: type[np.unsignedinteger]) -> np.dtype[np.integer]:
    """``least`` where it holds numbers up to ``most``, else int32."""
    return np.dtype(least if most <= np.iinfo(least).max else np.int32)


def _padded(size: int) -> int:
    return -(-size // 8) * 8


def _image(*arrays: NDArray[np.integer]) -> Tensor:
    """A header with the kind and length of every array, and the arrays, each from a multiple of eight bytes on."""
    header = np.array([(_KINDS.index(array.dtype), array.size) for array in arrays])
    image = np.zeros(_HEADER + sum(_padded(array.nbytes) for array in arrays), dtype=np.uint8)
    image[:_HEADER] = header.astype(np.int64).ravel().view(np.uint8)
    start = _HEADER
    for array in arrays:
        image[start : start + array.nbytes] = array.ravel().view(np.uint8)
        start += _padded(array.nbytes)
    with torch.inference_mode(False):
        return torch.from_numpy(image)
