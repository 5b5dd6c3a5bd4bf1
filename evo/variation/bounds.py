"""What every candidate of a search must keep to."""

from __future__ import annotations

from dataclasses import dataclass

from topologies.topology import Topology


@dataclass(frozen=True)
class Bounds:
    """The room a search has; topologies are compared at an equal budget only (section 1 of the paper).

    Parameters
    ----------
    budget:
        Number of trainable edges, exactly: every candidate spends it all.
    max_depth:
        Sparse layers at most.
    max_width:
        Neurons in a hidden layer at most; inputs and outputs are given and do not count.
    max_edges:
        Trainable and constant edges at most.
    connected:
        Whether every input must reach every output (III). Where it need not, as in layers of patches, every neuron
        still has an edge into it and one out of it.

    Raises
    ------
    ValueError
        For a number below 1, or more trainable edges than edges.
    """

    budget: int
    max_depth: int
    max_width: int
    max_edges: int
    connected: bool = True

    def __post_init__(self) -> None:
        for name in ("budget", "max_depth", "max_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: it is at least 1")
        if self.max_edges < self.budget:
            raise ValueError(
                f"max_edges = {self.max_edges}: it is at least the budget of {self.budget} trainable edges"
            )

    def admits(self, topology: Topology) -> bool:
        """Whether a topology is as connected as it must be, within the bounds, and has exactly the budget."""
        return (
            self.admits_edges(topology.n_trainable, topology.n_constant)
            and self.admits_widths(topology.widths)
            and (topology.is_connected if self.connected else has_no_bare_neuron(topology))
        )

    def admits_edges(self, trainable: int, constant: int) -> bool:
        """Whether these are exactly the budget of trainable edges, and not too many edges together."""
        return trainable == self.budget and trainable + constant <= self.max_edges

    def admits_widths(self, widths: tuple[int, ...]) -> bool:
        """Whether a cascade with these numbers of neurons, inputs and outputs included, is within the bounds."""
        return len(widths) - 1 <= self.max_depth and max(widths[1:-1], default=0) <= self.max_width


def has_no_bare_neuron(topology: Topology) -> bool:
    """Whether every neuron has an edge into it and one out of it, inputs and outputs on their one side."""
    return all(layer.fan_in.all() and layer.fan_out.all() for layer in topology.layers)
