"""The task that counts: how well a small model learns a user's data when its layers are a candidate's cascades.

On images and tables this ranks topologies as nothing else does: reconstruction of random matrices has hardly any rank
correlation with it, because random matrices have no order and real inputs have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from evaluators.example_errors import pack
from evaluators.function import name_of_function
from evaluators.rng import generator
from evaluators.task import Fidelity, Score, Split
from evaluators.training import folds as cross_validation
from evaluators.training.data import Data, Part
from evaluators.training.models import LayerFunction, ModelFunction, check_model, layers_of, model_function, sparse
from evaluators.training.training import alone, answers, batch_size, error_and_errors, train
from topologies.stack import AnyTopology, Sizes, Stack, each_size

_PROVEN = 256
"""Examples by the answers to which a worker proves itself."""


class TrainedAccuracy:
    """Scores a topology by the error of a model that is trained with it, on examples that it was not trained on.

    A fidelity's *targets* are trainings, each from a seed of its own, and its *steps* are epochs; every training
    happens at every rate and weight decay, and those with the least mean error count. There is one error a training:
    the share of examples that are labelled wrongly, or of the variance that is not explained. Equal seeds meet equal
    orders of examples and equal heads, so that errors of two topologies can be compared in pairs. Models are trained on
    the training part only, and scored on the part of the split; on the test part nothing is chosen: where several
    rates are given there, the validation part decides. Scores on the test part hold every example's error as well.

    Parameters
    ----------
    data:
        The examples.
    hidden:
        Widths of the hidden layers of the usual model, a perceptron with ReLU and a dense head. The first weight matrix
        is (inputs, hidden[0]), the next (hidden[0], hidden[1]), and so on. A stack has a topology for each; where all
        have one size, a single topology is taken for all of them, each with weights of its own.
    model:
        A function that makes another model, or its name, ``package.module:function``; see
        :data:`evaluators.training.models.ModelFunction`.
    sizes:
        Of a model of your own: inputs and outputs of the cascades that it takes, in order.
    free_widths:
        Whether the usual model takes stacks of other hidden widths than ``hidden``, too; its head follows.
    batch:
        Examples in a mini-batch; by default :func:`evaluators.training.training.batch_size`.
    layer:
        What stands at a place of the model, made of its topology; by default its cascade.
    folds:
        Of a cross-validation that takes the place of the test part (:mod:`evaluators.training.folds`): then there is
        one test training a fold.

    Raises
    ------
    ValueError
        When a width is below 1, or the model ignores cascades or has other outputs than the data want.
    """

    proof_steps = 1
    """A worker proves itself by one epoch; see :class:`evaluators.task.SlowEvaluator`."""

    def __init__(
        self,
        data: Data,
        hidden: Sequence[int] | None = None,
        *,
        model: str | ModelFunction | None = None,
        sizes: Sequence[tuple[int, int]] = (),
        free_widths: bool = False,
        batch: int | None = None,
        folds: int | None = None,
        layer: LayerFunction = sparse,
    ) -> None:
        if (hidden is None) == (model is None):
            raise ValueError("either `hidden` or `model` is wanted: the widths of the usual model, or one of your own")
        if hidden is not None:
            sizes = sizes_of(data.inputs, hidden)
        if not sizes:
            raise ValueError("`sizes` are wanted beside `model`: the inputs and outputs of its cascades")
        if free_widths and hidden is None:
            raise ValueError(
                "widths are free where `hidden` is given: nobody knows how wide a model of your own may be"
            )
        fewest, most = cross_validation.FEWEST, cross_validation.MOST
        if folds is not None and not fewest <= folds <= most:
            raise ValueError(f"folds = {folds}: from {fewest} to {most}")
        self.data, self.free_widths, self.folds = data, free_widths, folds
        self.sizes: Sizes = tuple((n_in, n_out) for n_in, n_out in sizes)
        self.batch = batch or batch_size(len(data.train))
        self.model, self.layer = model, layer
        check_model(model_function(model), self.sizes, data.inputs, data.outputs, layer)

    @property
    def identity(self) -> str:
        """What, beside the topology and how it is trained, decides a score; see :class:`IdentifiedEvaluator`."""
        model = self.model if isinstance(self.model, str | None) else name_of_function(self.model)
        alike = len(set(self.sizes)) == 1
        size = [*self.sizes[0], len(self.sizes)] if alike else [self.sizes, self.free_widths]
        what = [self.data.fingerprint, *size, model, self.batch]
        what += [] if self.folds is None else ["folds", self.folds]
        what += [] if self.layer is sparse else [name_of_function(self.layer)]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]

    def evaluate(self, topology: AnyTopology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """The error of each training at the best rate and weight decay; see :class:`evaluators.task.Evaluator`.

        Raises
        ------
        ValueError
            For a topology of another size.
        """
        self._check(topology)
        topology = topology.canonical
        choices = [(rate, decay) for rate in fidelity.rates for decay in fidelity.weight_decays]
        if split is Split.TEST and len(choices) > 1 and self.folds is not None:
            chosen = self.evaluate(topology, fidelity, Split.VALIDATION, seed)
            return self.evaluate(topology, fidelity.promoted(self.folds, chosen), split, seed)
        deciding = Split.VALIDATION if split is Split.TEST and len(choices) > 1 else split
        trained = [
            [self._trained(topology, fidelity.steps, choice, (deciding, split), seed, index) for choice in choices]
            for index in range(fidelity.targets)
        ]
        best = int(np.array([[one.deciding for one in row] for row in trained]).mean(axis=0).argmin())
        found = [row[best] for row in trained]
        kept = pack(np.array([one.examples for one in found])) if split is Split.TEST and self.folds is None else None
        return Score(tuple(one.error for one in found), *choices[best], kept)

    def proof(self, topology: AnyTopology, fidelity: Fidelity, split: Split, seed: int) -> str:
        """A hash of what a trained model answers: it changes with any bit of the weights, as errors need not.

        See :class:`evaluators.task.ProvingEvaluator`.

        Raises
        ------
        ValueError
            For a topology of another size.
        """
        self._check(topology)
        draws = generator(seed, "training", split.key, 0)
        with alone(int(draws.integers(2**63 - 1))):
            choice = fidelity.rates[0], fidelity.weight_decays[0]
            model = self._fitted(topology.canonical, self.data.train, fidelity.steps, choice, draws)
            return hashlib.sha256(answers(model, self.data.train, _PROVEN).tobytes()).hexdigest()[:16]

    def _check(self, topology: AnyTopology) -> None:
        """Raise ValueError for a topology that does not fit the model's places."""
        sizes = topology.sizes if isinstance(topology, Stack) else topology.sizes * len(self.sizes)
        if sizes == self.sizes:
            return
        if self.free_widths and isinstance(topology, Stack):
            same = len(sizes) == len(self.sizes) and topology.n_in == self.data.inputs and topology.is_chained
            if same:
                return
        raise ValueError(f"the topology is {each_size(sizes)}, where the model takes {each_size(self.sizes)}")

    def _trained(
        self,
        topology: AnyTopology,
        epochs: int,
        choice: tuple[float, float],
        splits: tuple[Split, Split],
        seed: int,
        index: int,
    ) -> _Training:
        """Train from one seed; ``splits`` are the one that decides and the one that counts, whose draws it has."""
        deciding, split = splits
        part, scored = self.data.train, self.data.part(split)
        if split is Split.TEST and self.folds is not None:
            part, scored = cross_validation.fold_of(self.data, self.folds, index)
        draws = generator(seed, "training", split.key, index)
        with alone(int(draws.integers(2**63 - 1))):
            model = self._fitted(topology, part, epochs, choice, draws)
            error, examples = error_and_errors(model, scored)
            first = error if deciding is split else error_and_errors(model, self.data.part(deciding))[0]
        return _Training(first, error, examples)

    def _fitted(
        self, topology: AnyTopology, part: Part, epochs: int, choice: tuple[float, float], draws: np.random.Generator
    ) -> nn.Module:
        """A model that was trained on a part at a rate and weight decay."""
        layers = layers_of(topology, len(self.sizes), self.layer)
        model = model_function(self.model)(layers, self.data.outputs)
        train(model, part, epochs, *choice, self.batch, draws)
        return model


class _Training(NamedTuple):
    """What one training gave: the error that decides on rates, the error that counts, and that of each example."""

    deciding: float
    error: float
    examples: NDArray[np.float64]


def sizes_of(inputs: int, hidden: Sequence[int]) -> Sizes:
    """Inputs and outputs of the weight matrices of a perceptron, one for each hidden layer.

    Raises
    ------
    ValueError
        When there is no hidden layer, or a width is below 1.
    """
    if not hidden or min(hidden) < 1:
        raise ValueError(f"hidden = {list(hidden)}: at least one width, each at least 1")
    return tuple(pairwise([inputs, *hidden]))
