"""A champion as MLflow loads it: MLflow imports this module and hands it a topology file, so nothing is unpickled."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from topologies.files import load
from topologies.models.cascade import SparseCascade
from topologies.topology import Topology


class TrackedModel:
    """A topology behind MLflow's ``predict``.

    A champion is a topology, not yet trained: its weights are a fresh start, the same at every load. What a model
    uses is the layer, ``mlflow.pyfunc.load_model(uri).get_raw_model()``, a
    :class:`topologies.models.cascade.SparseCascade`; of a stack it is a ``Sequential`` of the layers of all places with
    ReLU behind each.
    """

    def __init__(self, path: str) -> None:
        topology = load(path)
        self._chained = isinstance(topology, Topology) or topology.is_chained
        layers = [SparseCascade(place, bias=False) for place in topology.places]
        for layer in layers:
            layer.reset_parameters(np.random.default_rng(0))
        self._layer: nn.Module = layers[0]
        if not isinstance(topology, Topology):
            self._layer = nn.Sequential(*(one for layer in layers for one in (layer, nn.ReLU())))

    def predict(self, model_input: ArrayLike, params: dict[str, Any] | None = None) -> NDArray[np.float32]:
        """Apply the untrained layer: ``(rows, n_in)`` to ``(rows, n_out)``.

        Raises
        ------
        ValueError
            For a stack whose places do not follow each other: only its model knows what is between them.
        """
        if not self._chained:
            raise ValueError("the places of this stack do not follow each other: use its layers in the model it is for")
        with torch.no_grad():
            outputs: NDArray[np.float32] = self._layer(torch.from_numpy(np.asarray(model_input, np.float32))).numpy()
        return outputs

    def get_raw_model(self) -> nn.Module:
        """The layer itself, to put in place of an ``nn.Linear`` and train; of a stack those of all places."""
        return self._layer


def _load_pyfunc(path: str) -> TrackedModel:
    """MLflow's entry."""
    return TrackedModel(path)
