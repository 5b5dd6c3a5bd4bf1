"""The topologies of several places of a model as one value: what a search over whole models breeds and scores.

A model applies one place after the other, with whatever it has between them (a ReLU, say), so the layers of a stack
are not one cascade: its places are never multiplied together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topologies.topology import Topology

if TYPE_CHECKING:
    from topologies.provenance import Provenance

Sizes = tuple[tuple[int, int], ...]
"""Inputs and outputs of every place."""


@dataclass(frozen=True)
class Stack:
    """One topology for every place of a model, in the order in which the model has them.

    Two places may hold equal topologies. Two stacks are equal when their places are; the ``digest`` is blind to the
    numbering of hidden neurons within each place, and to nothing else: between two places there may be anything, so
    neurons there keep their numbers. (In a perceptron they could be renumbered too; then two numberings of one model
    have two digests, which costs an evaluation at most.)

    Raises
    ------
    ValueError
        When there is no place.
    """

    places: tuple[Topology, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", tuple(self.places))
        if not self.places:
            raise ValueError("a stack has at least one place")

    @property
    def sizes(self) -> Sizes:
        """Inputs and outputs of every place."""
        return tuple((place.n_in, place.n_out) for place in self.places)

    @property
    def n_in(self) -> int:
        """Inputs of the first place."""
        return self.places[0].n_in

    @property
    def n_out(self) -> int:
        """Outputs of the last place."""
        return self.places[-1].n_out

    @property
    def is_chained(self) -> bool:
        """Whether every place's outputs are the next one's inputs, as in a perceptron."""
        return all(before.n_out == after.n_in for before, after in pairwise(self.places))

    @property
    def depth(self) -> int:
        """Number of sparse layers of all places together."""
        return sum(place.depth for place in self.places)

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons of every layer of the first place, inputs first, then those of the next place, and so on."""
        return tuple(width for place in self.places for width in place.widths)

    @property
    def n_edges(self) -> int:
        """Trainable and constant edges of all places together."""
        return sum(place.n_edges for place in self.places)

    @property
    def n_trainable(self) -> int:
        """Trainable edges of all places together: the parameters, which a budget limits."""
        return sum(place.n_trainable for place in self.places)

    @property
    def n_constant(self) -> int:
        """Edges that are always 1, of all places together."""
        return self.n_edges - self.n_trainable

    @property
    def is_connected(self) -> bool:
        """Whether in every place every input reaches every output."""
        return all(place.is_connected for place in self.places)

    @cached_property
    def canonical(self) -> Stack:
        """The same stack with the hidden neurons of every place in canonical order."""
        form = Stack(tuple(place.canonical for place in self.places))
        form.__dict__["canonical"] = form
        return form

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the digests of the places; a stack of one place has another digest than that place."""
        told = "evofabric stack " + " ".join(place.digest for place in self.places)
        return hashlib.sha256(told.encode()).hexdigest()

    def save(self, path: str | Path, provenance: Provenance | None = None) -> Path:
        """Write the stack to ``path`` (safetensors), see :func:`topologies.files.save`."""
        from topologies.files import save

        return save(self, path, provenance)

    def __getstate__(self) -> dict[str, Any]:
        return {"places": self.places}

    def __setstate__(self, fields: dict[str, Any]) -> None:
        object.__setattr__(self, "places", fields["places"])

    def __repr__(self) -> str:
        told = size_text(self.sizes)
        return f"Stack({told}, {self.n_trainable} trainable of {self.n_edges} edges in {len(self.places)} places)"


@dataclass(frozen=True)
class Layout:
    """The places of a model: which sizes a stack for it may have.

    Parameters
    ----------
    sizes:
        Inputs and outputs of every place.
    widths:
        Where hidden widths are free, the least and the greatest number of outputs of every place; they are in a chain
        then, and the first place's inputs are as ``sizes`` has them.
    """

    sizes: Sizes
    widths: tuple[tuple[int, int], ...] = ()

    def admits(self, sizes: Sizes) -> bool:
        """Whether a stack of these sizes fits the model."""
        if sizes == self.sizes:
            return True
        chained = all(before[1] == after[0] for before, after in pairwise(sizes))
        if not self.widths or len(sizes) != len(self.sizes) or sizes[0][0] != self.sizes[0][0] or not chained:
            return False
        return all(least <= size[1] <= most for size, (least, most) in zip(sizes, self.widths, strict=True))

    def of_widths(self, widths: Sequence[int]) -> Sizes:
        """The sizes of places in a chain whose outputs are these, each brought within its bounds."""
        bounded = [min(max(width, least), most) for width, (least, most) in zip(widths, self.widths, strict=True)]
        return tuple(pairwise([self.sizes[0][0], *bounded]))


AnyTopology = Topology | Stack
"""What a search breeds: a topology, or one for every place of a model. Both have ``places``."""


def stacked(places: Iterable[Topology]) -> AnyTopology:
    """A stack of these places, or the topology itself where there is but one."""
    found = tuple(places)
    return found[0] if len(found) == 1 else Stack(found)


def size_text(sizes: Sequence[Sequence[int]]) -> str:
    """Sizes in short: ``"32x32"`` of one place, ``"784-256-128"`` of places in a chain, else every place's own."""
    if len(sizes) > 1 and all(before[1] == after[0] for before, after in pairwise(sizes)):
        return "-".join(str(width) for width in (sizes[0][0], *(size[1] for size in sizes)))
    return "+".join(f"{n_in}x{n_out}" for n_in, n_out in sizes)


def each_size(sizes: Iterable[Sequence[int]], between: str = ", ") -> str:
    """Every place's inputs and outputs in words: ``"784 x 256, 256 x 128"``."""
    return between.join(f"{n_in} x {n_out}" for n_in, n_out in sizes)


def by_place(topologies: Mapping[str, AnyTopology]) -> dict[str, Topology]:
    """Topologies by name, a stack's as ``"name, place 1"``, ``"name, place 2"``, ...; equal places once."""
    found: dict[str, Topology] = {}
    for name, topology in topologies.items():
        if isinstance(topology, Topology):
            found[name] = topology
            continue
        held: dict[Topology, list[int]] = {}
        for number, place in enumerate(topology.places, 1):
            held.setdefault(place, []).append(number)
        for place, numbers in held.items():
            which = f"place {numbers[0]}" if len(numbers) == 1 else f"places {', '.join(map(str, numbers))}"
            found[f"{name}, {which}"] = place
    return found


def the_topology(found: AnyTopology, name: object) -> Topology:
    """What was found by a name, if it is one topology, or a stack of a single place.

    Raises
    ------
    ValueError
        When it is a stack of several places, which has a topology for each.
    """
    if isinstance(found, Topology) or len(found.places) == 1:
        return found.places[0]
    raise ValueError(
        f"{name} holds {len(found.places)} places ({each_size(found.sizes)}), not one topology: "
        "topologies.models.convert puts them all into a model, topologies.load(...).places[0] is the first"
    )
