"""Training of one network at several sizes, and with several kinds of layers in it: what studies compare."""

from __future__ import annotations

from dataclasses import replace

from evaluators.task import Fidelity, Score, Split
from evaluators.training.data import Data, Part
from evaluators.training.evaluator import TrainedAccuracy
from evaluators.training.layers import LAYERS, find_layer
from evaluators.training.networks import NETWORKS
from topologies.stack import AnyTopology, Sizes

_FEW = 256
"""Examples that a worker proves itself with."""


class TrainedNetworks:
    """Scores stacks of any sizes that a network has, by :class:`evaluators.training.evaluator.TrainedAccuracy`.

    A task's variant (:class:`evaluators.task.VariedEvaluator`) is the kind of layer that is made of the topologies. A
    task without one is the proof of a worker, and learns from a few examples only.

    Parameters
    ----------
    data:
        The examples.
    network:
        One of :data:`evaluators.training.networks.NETWORKS`.
    batch:
        Examples in a mini-batch, by default as many as usual.

    Raises
    ------
    ValueError
        When there is no such network.
    """

    proof_steps = 1

    def __init__(self, data: Data, network: str, batch: int | None = None) -> None:
        if network not in NETWORKS:
            raise ValueError(f"network = {network!r}: one of {', '.join(NETWORKS)}")
        self.data, self.network, self.batch = data, network, batch

    @property
    def identity(self) -> str:
        """The data's fingerprint, the network, and the batch; see :class:`evaluators.task.IdentifiedEvaluator`."""
        return f"{self.data.fingerprint} {self.network} {self.batch}"

    def variant(self, name: str) -> TrainedVariant:
        """The evaluator whose layers are of this kind; ValueError where there is none."""
        find_layer(name)
        return TrainedVariant(self.data, self.network, self.batch, name)

    def evaluate(self, topology: AnyTopology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """The score of cascades on a few examples, never a result."""
        return self._on_few().evaluate(topology, fidelity, split, seed)

    def proof(self, topology: AnyTopology, fidelity: Fidelity, split: Split, seed: int) -> str:
        """That of cascades on a few examples; see :class:`evaluators.task.ProvingEvaluator`."""
        return self._on_few().trained(topology.sizes).proof(topology, fidelity, split, seed)

    def _on_few(self) -> TrainedVariant:
        parts = (_first(part) for part in (self.data.train, self.data.search, self.data.validation, self.data.test))
        train, search, validation, test = parts
        data = replace(self.data, train=train, search=search, validation=validation, test=test)
        return TrainedVariant(data, self.network, 64, "cascade")


class TrainedVariant:
    """Scores stacks of any sizes that a network has, with one kind of layer at its places."""

    def __init__(self, data: Data, network: str, batch: int | None, layer: str) -> None:
        self.data, self.network, self.batch, self.layer = data, network, batch, layer

    def evaluate(self, topology: AnyTopology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """As :meth:`evaluators.training.evaluator.TrainedAccuracy.evaluate`."""
        return self.trained(topology.sizes).evaluate(topology, fidelity, split, seed)

    def trained(self, sizes: Sizes) -> TrainedAccuracy:
        """The evaluator of models with places of these sizes."""
        return TrainedAccuracy(
            self.data, model=NETWORKS[self.network].make, sizes=sizes, batch=self.batch, layer=LAYERS[self.layer]
        )


def _first(part: Part) -> Part:
    return Part(part.x[:_FEW], part.y[:_FEW])
