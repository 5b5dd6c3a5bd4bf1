"""Which entries of a matrix a topology reconstructs badly (paper, section VI-C and Fig. 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluators.reconstruction.evaluator import MatrixReconstruction
from evaluators.reconstruction.targets import target
from evaluators.task import Fidelity, Split
from topologies.product import product, with_ones
from topologies.topology import Topology


def entry_errors(topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> NDArray[np.float64]:
    """The squared error of every entry in the mean over the targets, shape ``(n_in, n_out)``.

    Targets have unit variance, so that the mean over the entries is about the relative error. An entry's mean has a
    relative error of about sqrt(2 / targets): to tell entries apart takes hundreds of targets.
    """
    trained = MatrixReconstruction().train(topology, fidelity, split, seed)
    goals = np.stack([target(topology.n_in, topology.n_out, index, split, seed) for index in range(fidelity.targets)])
    best = trained.weights[trained.best].astype(np.float64)
    found = np.stack([product(trained.topology, with_ones(trained.topology, weights)) for weights in best])
    return np.asarray(np.square(found - goals).mean(axis=0))
