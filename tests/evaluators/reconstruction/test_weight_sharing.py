"""Matrices that share weights: their errors are those of a least-squares fit of the layers themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evaluators.reconstruction.weight_sharing import circulant_errors, hashed_errors
from topologies.models.circulant import BlockCirculantLinear, block_of
from topologies.models.hashed import HashedLinear


def least_squares(layer: HashedLinear | BlockCirculantLinear, targets: np.ndarray) -> np.ndarray:
    """Relative errors by a solver that knows of a layer only what it does with its parameters."""
    weight = next(layer.parameters())
    columns = []
    for index in range(weight.numel()):
        with torch.no_grad():
            weight.zero_().view(-1)[index] = 1
        columns.append(layer.dense().detach().numpy().ravel())
    matrix, goals = np.array(columns).T, targets.reshape(len(targets), -1).T
    left = matrix @ np.linalg.lstsq(matrix, goals, rcond=None)[0] - goals
    return np.square(left).sum(axis=0) / np.square(goals).sum(axis=0)


@pytest.mark.parametrize(("n_in", "n_out", "parameters"), [(16, 16, 100), (12, 7, 30), (9, 16, 40), (5, 5, 25)])
def test_errors_are_those_of_the_layers_at_their_best(n_in: int, n_out: int, parameters: int) -> None:
    targets = np.random.default_rng(n_in).standard_normal((3, n_in, n_out)).astype(np.float32)
    hashed = HashedLinear(n_in, n_out, parameters, bias=False)
    circulant = BlockCirculantLinear(n_in, n_out, block_of(n_in, n_out, parameters), bias=False)
    assert hashed_errors(targets, parameters) == pytest.approx(least_squares(hashed, targets), abs=1e-6)
    assert circulant_errors(targets, parameters) == pytest.approx(least_squares(circulant, targets), abs=1e-6)
