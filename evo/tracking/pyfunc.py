"""A champion as MLflow loads it: MLflow imports this module and hands it a topology file, so nothing is unpickled."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from topologies.models.cascade import SparseCascade


class TrackedModel:
    """A topology behind MLflow's ``predict``.

    A champion is a topology, not yet trained: its weights are a fresh start, the same at every load. What a model
    uses is the layer, ``mlflow.pyfunc.load_model(uri).get_raw_model()``, a
    :class:`topologies.models.cascade.SparseCascade`.
    """

    def __init__(self, path: str) -> None:
        self._layer = SparseCascade(path, bias=False)
        self._layer.reset_parameters(np.random.default_rng(0))

    def predict(self, model_input: ArrayLike, params: dict[str, Any] | None = None) -> NDArray[np.float32]:
        """Apply the untrained layer: ``(rows, n_in)`` to ``(rows, n_out)``."""
        with torch.no_grad():
            outputs: NDArray[np.float32] = self._layer(torch.from_numpy(np.asarray(model_input, np.float32))).numpy()
        return outputs

    def get_raw_model(self) -> SparseCascade:
        """The layer itself, to put in place of an ``nn.Linear`` and train."""
        return self._layer


def _load_pyfunc(path: str) -> TrackedModel:
    """MLflow's entry."""
    return TrackedModel(path)
