"""The one value that travels through the whole program: an immutable sparse cascade.

A topology replaces one dense ``n_in x n_out`` layer by a cascade of sparse layers (paper, section III and
figure 1). Masks are written for row vectors: a layer maps ``x`` of shape ``(..., n_in)`` to ``x @ M``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from topologies.entries import ABSENT as ABSENT
from topologies.entries import CONSTANT as CONSTANT
from topologies.entries import TRAINABLE as TRAINABLE
from topologies.entries import entries

if TYPE_CHECKING:
    from topologies.provenance import Provenance

MAX_WIDTH = 1 << 20
"""Neurons in one layer: far above any use, low enough that widths never overflow an int32."""

_MOST_REACHES = 1 << 26  # bytes in which it is noted which inputs reach the edges of a layer
_SHOWN_WIDTHS = 32  # of a deeper topology the first and the last are shown


@dataclass(frozen=True, eq=False)
class Layer:
    """The edges between two neighbouring layers of neurons, sorted by (target, source).

    Parameters
    ----------
    n_in, n_out:
        Numbers of neurons before and after the edges.
    sources, targets:
        integer arrays of shape ``(edges,)``, kept as int32: the neuron at each end of an edge.
    trainable:
        bool array of shape ``(edges,)``; an edge that is not trainable is the constant 1 (VII-A).

    Raises
    ------
    ValueError
        For a size that is no whole number or out of range, an index out of range, two edges between the same neurons,
        or arrays of different lengths.
    """

    n_in: int
    n_out: int
    sources: NDArray[np.integer]
    targets: NDArray[np.integer]
    trainable: NDArray[np.bool_]

    def __post_init__(self) -> None:
        for name, width in (("n_in", self.n_in), ("n_out", self.n_out)):
            if not isinstance(width, int | np.integer) or not 1 <= width <= MAX_WIDTH:
                raise ValueError(f"{name} is {width}: a layer has between 1 and {MAX_WIDTH} neurons, a whole number")
            object.__setattr__(self, name, int(width))
        sources = _indices(self.sources, self.n_in, "source")
        targets = _indices(self.targets, self.n_out, "target")
        trainable = np.array(self.trainable, dtype=np.bool_)
        if not sources.shape == targets.shape == trainable.shape:
            raise ValueError(
                f"{sources.size} sources, {targets.size} targets and {trainable.size} kinds: one of each per edge"
            )
        pair = targets.astype(np.int64) * self.n_in + sources
        if np.any(pair[1:] <= pair[:-1]):
            order = np.argsort(pair)
            pair = pair[order]
            if np.any(twice := pair[1:] == pair[:-1]):
                source, target = pair[1:][twice][0] % self.n_in, pair[1:][twice][0] // self.n_in
                raise ValueError(f"the edge {source} -> {target} is given twice")
            sources, targets, trainable = sources[order], targets[order], trainable[order]
        self.__setstate__({"sources": sources, "targets": targets, "trainable": trainable})

    @staticmethod
    def from_mask(mask: Any, *, transpose: bool = False) -> Layer:
        """The layer of a mask ``(n_in, n_out)``: 0 absent, 1 trainable, 2 constant.

        PyTorch's masks are the other way round, ``(n_out, n_in)``: ``transpose`` reads those. What else may hold a
        mask, and what is refused, says :func:`topologies.entries.entries`.
        """
        (n_in, n_out), sources, targets, trainable = entries(mask)
        if transpose:
            n_in, n_out, sources, targets = n_out, n_in, targets, sources
        return Layer(n_in, n_out, sources, targets, trainable)

    @staticmethod
    def in_order(
        n_in: int, n_out: int, sources: NDArray[np.int32], targets: NDArray[np.int32], trainable: NDArray[np.bool_]
    ) -> Layer:
        """The layer of edges that are known to be right and sorted: nothing is checked or copied, only frozen."""
        layer = object.__new__(Layer)
        layer.__setstate__(
            {"n_in": n_in, "n_out": n_out, "sources": sources, "targets": targets, "trainable": trainable}
        )
        return layer

    @property
    def n_edges(self) -> int:
        """Trainable and constant edges together."""
        return self.sources.size

    @cached_property
    def n_trainable(self) -> int:
        """Trainable edges: the layer's parameters."""
        return int(np.count_nonzero(self.trainable))

    @cached_property
    def fan_in(self) -> NDArray[np.int64]:
        """Edges into each neuron, constants included, shape ``(n_out,)``."""
        return np.bincount(self.targets, minlength=self.n_out)

    @cached_property
    def fan_out(self) -> NDArray[np.int64]:
        """Edges out of each neuron, constants included, shape ``(n_in,)``."""
        return np.bincount(self.sources, minlength=self.n_in)

    def mask(self) -> NDArray[np.int8]:
        """Dense mask of shape ``(n_in, n_out)``: 0 absent, 1 trainable, 2 constant."""
        dense = np.zeros((self.n_in, self.n_out), dtype=np.int8)
        dense[self.sources, self.targets] = np.where(self.trainable, TRAINABLE, CONSTANT)
        return dense

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layer) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> tuple[int, int, bytes, bytes, bytes]:
        return (self.n_in, self.n_out, self.sources.tobytes(), self.targets.tobytes(), self.trainable.tobytes())

    def __getstate__(self) -> dict[str, Any]:
        """Only the fields travel; cached values are made again where they are wanted."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __setstate__(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Topology:
    """A cascade of sparse layers; hidden neurons are linear (III).

    Two topologies are equal when they have the same edges under the same numbering. The ``digest`` is blind to
    the numbering of hidden neurons: it names what the topology computes.

    Raises
    ------
    ValueError
        When there is no layer, or one layer's outputs are not the next one's inputs.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ValueError("a topology has at least one layer")
        for index, (before, after) in enumerate(pairwise(self.layers)):
            if before.n_out != after.n_in:
                raise ValueError(f"layer {index} has {before.n_out} outputs but layer {index + 1} {after.n_in} inputs")

    @staticmethod
    def from_masks(masks: Iterable[Any] | Mapping[str, Any], *, transpose: bool = False) -> Topology:
        """The topology of masks, one a layer, each ``(n_in, n_out)`` with 0 absent, 1 trainable, 2 constant.

        Parameters
        ----------
        masks:
            Arrays, tensors or SciPy sparse matrices, in order; or a dict of them, such as a PyTorch ``state_dict``: of
            one that has names ending in ``weight_mask``, as pruning leaves them, the others are left out.
        transpose:
            For masks of PyTorch, which are ``(n_out, n_in)``. Nobody can tell square ones from those of evofabric.

        Raises
        ------
        ValueError
            For what is no mask, see :func:`topologies.entries.entries`, or layers that do not fit each other.
        """
        if isinstance(masks, Mapping):
            pruned = [mask for name, mask in masks.items() if name.endswith("weight_mask")]
            masks = pruned or list(masks.values())
        layers = tuple(Layer.from_mask(mask, transpose=transpose) for mask in masks)
        try:
            return Topology(layers)
        except ValueError as problem:
            pairs = list(pairwise(layers))
            if not pairs or any(before.n_in != after.n_out for before, after in pairs):
                raise
            way, other = ("(n_out, n_in)", False) if transpose else ("(n_in, n_out)", True)
            hint = f"masks were read as {way}, and fit the other way round, with transpose={other}"
            raise ValueError(f"{problem}: {hint}") from None

    @property
    def places(self) -> tuple[Topology, ...]:
        """The topology alone; a :class:`topologies.stack.Stack` has one for every place of a model."""
        return (self,)

    @property
    def n_in(self) -> int:
        """Inputs of the cascade."""
        return self.layers[0].n_in

    @property
    def n_out(self) -> int:
        """Outputs of the cascade."""
        return self.layers[-1].n_out

    @property
    def depth(self) -> int:
        """Number of sparse layers."""
        return len(self.layers)

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons of every layer, inputs first: ``depth + 1`` numbers."""
        return (self.n_in, *(layer.n_out for layer in self.layers))

    @property
    def n_edges(self) -> int:
        """Trainable and constant edges: multiply-accumulates of one input vector."""
        return sum(layer.n_edges for layer in self.layers)

    @property
    def n_trainable(self) -> int:
        """Trainable edges: the parameters, which a budget limits."""
        return sum(layer.n_trainable for layer in self.layers)

    @property
    def n_constant(self) -> int:
        """Edges that are always 1: the skip connections of VII-A."""
        return self.n_edges - self.n_trainable

    @cached_property
    def canonical(self) -> Topology:
        """The same topology with hidden neurons in canonical order, see :func:`topologies.canonical.canonical`."""
        from topologies.canonical import canonical

        return canonical(self)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical form, 64 hexadecimal digits, the same in every process."""
        return self.canonical.digest

    @cached_property
    def is_connected(self) -> bool:
        """Whether every input reaches every output (III)."""
        rows = 8 * max(1, _MOST_REACHES // max(layer.n_edges + layer.n_out for layer in self.layers))
        for first in range(0, self.n_in, rows):
            count = min(rows, self.n_in - first)
            reached = np.packbits(
                np.eye(self.n_in, count, -first, dtype=np.bool_), axis=1
            )  # from which inputs, in bits
            everything = np.packbits(np.ones(count, dtype=np.bool_))
            for layer in self.layers:
                full = bool((reached == everything).all())
                reached = (
                    np.tile(everything, (layer.n_out, 1)) if full and layer.fan_in.all() else _joined(reached, layer)
                )
            if not (reached == everything).all():
                return False
        return True

    def masks(self) -> list[NDArray[np.int8]]:
        """Dense masks, one ``(n_in, n_out)`` array a layer: 0 absent, 1 trainable, 2 constant."""
        return [layer.mask() for layer in self.layers]

    def crop(self, n_in: int, n_out: int) -> Topology:
        """The topology without its highest-numbered inputs and outputs, see :func:`topologies.crop.crop`."""
        from topologies.crop import crop

        return crop(self, n_in, n_out)

    def save(self, path: str | Path, provenance: Provenance | None = None) -> Path:
        """Write the topology to ``path`` (safetensors), see :func:`topologies.files.save`."""
        from topologies.files import save

        return save(self, path, provenance)

    def __getstate__(self) -> dict[str, Any]:
        return {"layers": self.layers}

    def __setstate__(self, fields: dict[str, Any]) -> None:
        object.__setattr__(self, "layers", fields["layers"])

    def __repr__(self) -> str:
        widths = [str(width) for width in self.widths]
        if (more := len(widths) - _SHOWN_WIDTHS) > 0:
            half = _SHOWN_WIDTHS // 2
            widths[half:-half] = [f"({more} more)"]
        return f"Topology({'-'.join(widths)}, {self.n_trainable} trainable of {self.n_edges} edges)"


def step(reach: NDArray[np.bool_], layer: Layer) -> NDArray[np.bool_]:
    """Carry reachability over one layer: ``(rows, n_in)`` to ``(rows, n_out)``, true where any source is."""
    onward = np.zeros((layer.n_out, reach.shape[0]), dtype=np.bool_)
    fed = np.flatnonzero(layer.fan_in)  # reduceat needs non-empty groups
    if fed.size:
        starts = np.cumsum(layer.fan_in)[fed] - layer.fan_in[fed]
        onward[fed] = np.logical_or.reduceat(reach.T[layer.sources], starts)
    return onward.T


def _joined(reached: NDArray[np.uint8], layer: Layer) -> NDArray[np.uint8]:
    """Carry bits over one layer, ``(n_in, bytes)`` to ``(n_out, bytes)``: set where they are in any source."""
    onward = np.zeros((layer.n_out, reached.shape[1]), dtype=np.uint8)
    fed = np.flatnonzero(layer.fan_in)  # reduceat needs non-empty groups
    if fed.size:
        starts = np.cumsum(layer.fan_in)[fed] - layer.fan_in[fed]
        onward[fed] = np.bitwise_or.reduceat(reached[layer.sources], starts)
    return onward


def _indices(values: ArrayLike | Sequence[int], limit: int, what: str) -> NDArray[np.int32]:
    """One-dimensional integers in ``[0, limit)`` as int32, refused otherwise."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{what} indices have {array.ndim} dimensions, not one")
    if array.size == 0:
        return np.zeros(0, dtype=np.int32)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{what} indices are {array.dtype}, not integers")
    if array.min() < 0 or array.max() >= limit:
        wrong = array[(array < 0) | (array >= limit)][0]
        raise ValueError(f"{what} index {wrong} is out of range: this side has {limit} neurons")
    return array.astype(np.int32)
