"""Which entries of a matrix a topology reconstructs badly (paper, section VI-C and Fig. 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluators.reconstruction.evaluator import MatrixReconstruction
from evaluators.reconstruction.targets import target
from evaluators.task import Fidelity, Split
from topologies.topology import Topology


def entry_errors(topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> NDArray[np.float64]:
    """The squared error of every entry in the mean over the targets, shape ``(n_in, n_out)``.

    Targets have unit variance, so that the mean over the entries is about the relative error. An entry's mean has a
    relative error of about sqrt(2 / targets): to tell entries apart takes hundreds of targets.
    """
    trained = MatrixReconstruction().train(topology, fidelity, split, seed)
    goals = np.stack([target(topology.n_in, topology.n_out, index, split, seed) for index in range(fidelity.targets)])
    found = products(trained.topology, trained.weights[trained.best])
    return np.asarray(np.square(found - goals).mean(axis=0))


def products(topology: Topology, weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """The matrices of the whole cascade (Eq. 4) for sets of trainable weights.

    ``weights`` has shape ``(sets, n_trainable)``, in the order of layers and their edges, the result ``(sets, n_in,
    n_out)``.
    """
    result = np.broadcast_to(np.eye(topology.n_in), (len(weights), topology.n_in, topology.n_in))
    parts = np.split(weights, np.cumsum([layer.n_trainable for layer in topology.layers])[:-1], axis=1)
    for layer, part in zip(topology.layers, parts, strict=True):
        matrices = np.zeros((len(weights), layer.n_in, layer.n_out))
        matrices[:, layer.sources, layer.targets] = 1.0
        matrices[:, layer.sources[layer.trainable], layer.targets[layer.trainable]] = part
        result = result @ matrices
    return np.asarray(result)
