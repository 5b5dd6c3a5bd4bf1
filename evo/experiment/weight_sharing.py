"""Matrices whose weights share parameters, on the targets of a comparison and with as many parameters (``score``)."""

from __future__ import annotations

import numpy as np

from evaluators.reconstruction.targets import target
from evaluators.reconstruction.weight_sharing import circulant_errors, hashed_errors
from evaluators.task import Split
from evo.own_data import RECONSTRUCTION
from evo.settings import Settings
from evo.storage.results import SharedWeights, interval
from topologies.models.circulant import block_of, parameters_of


def shared_weights(settings: Settings) -> tuple[SharedWeights, ...]:
    """HashedNets and CirCNN at a recipe's budget; none where it trains models, or fits matrices of the user's own."""
    if settings.evaluator != RECONSTRUCTION or settings.targets is not None:
        return ()
    n_in, n_out, budget = settings.n_in, settings.n_out, min(settings.budget, settings.n_in * settings.n_out)
    indices = range(settings.fidelity.test_targets)
    targets = np.stack([target(n_in, n_out, index, Split.TEST, settings.seed) for index in indices])
    found = [SharedWeights("hashed", budget, interval(hashed_errors(targets, budget)))]
    if budget >= max(n_in, n_out):
        parameters = parameters_of(n_in, n_out, block_of(n_in, n_out, budget))
        found.append(SharedWeights("circulant", parameters, interval(circulant_errors(targets, budget))))
    return tuple(found)
