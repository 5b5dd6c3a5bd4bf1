"""The task that counts: how well a small model learns a user's data when its layers are a candidate's cascades.

On images and tables this ranks topologies as nothing else does: reconstruction of random matrices has hardly any rank
correlation with it, because random matrices have no order and real inputs have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from evaluators.function import name_of_function
from evaluators.rng import generator
from evaluators.task import Fidelity, Score, Split
from evaluators.training.data import Data
from evaluators.training.models import ModelFunction, cascades_of, check_model, model_function
from evaluators.training.training import alone, batch_size, error, train
from topologies.canonical import canonical
from topologies.topology import Topology


class TrainedAccuracy:
    """Scores a topology by the error of a model that is trained with it, on examples that it was not trained on.

    A fidelity's *targets* are trainings, each from a seed of its own, and its *steps* are epochs; every training
    happens at every rate and weight decay, and those with the least mean error count. There is one error a training:
    the share of examples that are labelled wrongly, or of the variance that is not explained. Equal seeds meet equal
    orders of examples and equal heads, so that errors of two topologies can be compared in pairs. Models are trained on
    the training part only, and scored on the part of the split; on the test part nothing is chosen: where several
    rates are given there, the validation part decides.

    Parameters
    ----------
    data:
        The examples.
    hidden:
        Widths of the hidden layers of the usual model, a perceptron with ReLU and a dense head. The first weight matrix
        is (inputs, hidden[0]), the next (hidden[0], hidden[1]), and so on; all must have the same size, and all get the
        same topology, each with weights of its own.
    model:
        A function that makes another model, or its name, ``package.module:function``; see
        :data:`evaluators.training.models.ModelFunction`.
    size, places:
        Of a model of your own: inputs and outputs of its cascades, and how many it takes.
    batch:
        Examples in a mini-batch; by default :func:`evaluators.training.training.batch_size`.

    Raises
    ------
    ValueError
        When the layers differ in size, or the model ignores cascades or has other outputs than the data want.
    """

    proof_steps = 1
    """A worker proves itself by one epoch; see :class:`evaluators.task.SlowEvaluator`."""

    def __init__(
        self,
        data: Data,
        hidden: Sequence[int] | None = None,
        *,
        model: str | ModelFunction | None = None,
        size: tuple[int, int] | None = None,
        places: int = 1,
        batch: int | None = None,
    ) -> None:
        if (hidden is None) == (model is None):
            raise ValueError("either `hidden` or `model` is wanted: the widths of the usual model, or one of your own")
        if hidden is not None:
            size, places = place_of(data.inputs, hidden), len(hidden)
        if size is None:
            raise ValueError("`size` is wanted beside `model`: the inputs and outputs of its cascades")
        self.data, self.size, self.places = data, size, places
        self.batch = batch or batch_size(len(data.train))
        self._model = model
        check_model(model_function(model), *size, places, data.inputs, data.outputs)

    @property
    def identity(self) -> str:
        """What, beside the topology and how it is trained, decides a score; see :class:`IdentifiedEvaluator`."""
        model = self._model if isinstance(self._model, str | None) else name_of_function(self._model)
        what = [self.data.fingerprint, *self.size, self.places, model, self.batch]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """The error of each training at the best rate and weight decay; see :class:`evaluators.task.Evaluator`.

        Raises
        ------
        ValueError
            For a topology of another size.
        """
        if (topology.n_in, topology.n_out) != self.size:
            wanted = " x ".join(map(str, self.size))
            raise ValueError(f"the topology is {topology.n_in} x {topology.n_out}, where the model takes {wanted}")
        topology = canonical(topology)
        choices = [(rate, decay) for rate in fidelity.rates for decay in fidelity.weight_decays]
        deciding = split
        if split is Split.TEST and len(choices) > 1:
            deciding = Split.VALIDATION
        # (choices, trainings, 2): the error that decides, and the one that counts.
        found = np.array(
            [
                [self._trained(topology, fidelity.steps, choice, (deciding, split), seed, index) for choice in choices]
                for index in range(fidelity.targets)
            ]
        ).transpose(1, 0, 2)
        best = int(found[:, :, 0].mean(axis=1).argmin())
        return Score(tuple(found[best, :, 1].tolist()), *choices[best])

    def _trained(
        self,
        topology: Topology,
        epochs: int,
        choice: tuple[float, float],
        splits: tuple[Split, Split],
        seed: int,
        index: int,
    ) -> tuple[float, ...]:
        """Train from one seed, and the errors on the parts of the splits; what is drawn is that of the second."""
        draws = generator(seed, "training", splits[1].key, index)
        with alone(int(draws.integers(2**63 - 1))):
            model = model_function(self._model)(cascades_of(topology, self.places), self.data.outputs)
            train(model, self.data.train, epochs, *choice, self.batch, draws)
            of_split = {split: error(model, self.data.part(split)) for split in set(splits)}
        return tuple(of_split[split] for split in splits)


def place_of(inputs: int, hidden: Sequence[int]) -> tuple[int, int]:
    """Inputs and outputs of the weight matrices of a perceptron, which all have one size.

    Raises
    ------
    ValueError
        When they have not, or a width is below 1.
    """
    if not hidden or min(hidden) < 1:
        raise ValueError(f"hidden = {list(hidden)}: at least one width, each at least 1")
    widths = [inputs, *hidden]
    sizes = list(pairwise(widths))
    if len(set(sizes)) > 1:
        told = ", ".join(f"{n_in} x {n_out}" for n_in, n_out in sizes)
        raise ValueError(
            f"hidden = {list(hidden)} and {inputs} inputs make layers of {told}: so far all layers of a search "
            f"have one size, so take one hidden layer, or hidden = [{inputs}, {inputs}]"
        )
    return sizes[0]
