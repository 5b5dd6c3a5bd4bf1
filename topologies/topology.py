"""The one value that travels through the whole program: an immutable sparse cascade.

A topology replaces one dense ``n_in x n_out`` layer by a cascade of sparse layers (paper, section III and
figure 1). Masks are written for row vectors: a layer maps ``x`` of shape ``(..., n_in)`` to ``x @ M``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from topologies.layer import Layer

if TYPE_CHECKING:
    from topologies.provenance import Provenance

_SHOWN_WIDTHS = 32  # of a deeper topology the first and the last are shown


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
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs, as a stack has them of every place."""
        return ((self.n_in, self.n_out),)

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
        from topologies.reach import is_connected

        return is_connected(self)

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
