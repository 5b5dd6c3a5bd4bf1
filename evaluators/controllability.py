"""Controllability: how many ratios of inputs an optimiser can set at every output, without data (paper, section VI).

A neuron with t trainable edges can add control over at most ``min(t, fan_in - 1)`` ratios (Eq. 13 and 28). Control
over a pair of inputs splits over a neuron's out-edges (Eq. 15 to 17), adds up where edges meet (Eq. 12 and 18), and is
capped: a pair has one ratio (Eq. 9), and a neuron that sees m inputs has m - 1 (Eq. 11). What arrives is **K**, shape
``(n_in, n_out)``: the control over input i against all others at output k (Fig. 5).

Eq. 20 fixes the totals per output and leaves K open, so there are three readings. *uniform*: control is added evenly
over all pairs that a neuron sees and splits evenly over its out-edges, nothing is trained; it predicts which entries
reconstruct badly. *trained*: Eq. 20 is minimised from there by gradient descent (the paper's way). *fair*: K itself
is made as even as can be, which bounds what any choice could reach.

Two forms. Indexed by pairs, control has shape ``(neurons, n_in, n_in)``. With the second input summed out it has
shape ``(neurons, n_in)``; only the caps of single pairs are lost. In bytes, with w the widest layer, *uniform* takes
some ``50 w n_in²`` by pairs and ``50 w n_in`` summed; for training see :func:`training_bytes`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from evaluators.reach import from_inputs
from evaluators.task import Fidelity, Score, Stream, Task
from topologies.topology import Topology

Reading = Literal["uniform", "trained", "fair"]

PAIRS_UP_TO = 32
"""The greatest n_in for which pairs are kept apart, unless asked otherwise."""
STEPS = 300
"""Gradient steps of the readings that train, unless asked otherwise."""
MEMORY = 1 << 30
"""Bytes within which topologies train side by side."""


@dataclass(frozen=True)
class Control:
    """What a topology controls: ``matrix`` is K of shape ``(n_in, n_out)``, and the rest is read off it."""

    matrix: NDArray[np.float64]

    @property
    def wanted(self) -> float:
        """The value of every entry of K under full and fair control, (n_in - 1) / n_in."""
        return 1 - 1 / int(self.matrix.shape[0])

    @cached_property
    def total(self) -> float:
        """Total controllability: the ratios that can be set, at most n_out (n_in - 1)."""
        return float(self.matrix.sum())

    @property
    def mean(self) -> float:
        """Mean entry of K."""
        return float(self.matrix.mean())

    @property
    def variance(self) -> float:
        """Variance of K's entries: the paper's second requirement is that there be none (VII-E)."""
        return float(self.matrix.var())

    @property
    def unfairness(self) -> float:
        """Coefficient of variation of K; 0 where nothing is controlled."""
        return float(np.sqrt(self.variance) / self.mean) if self.total else 0.0

    @property
    def loss(self) -> float:
        """Eq. 20: squared lack of ratios, summed over the outputs."""
        n_in = self.matrix.shape[0]
        return float(np.square(n_in - 1 - self.matrix.sum(axis=0)).sum())

    @property
    def shortfall(self) -> float:
        """What the fair reading minimises, relative to no control at all: mean of (1 - K / wanted)², in [0, 1] or so.

        It is the square of the share of ratios that are missing, plus the variance of K (in units of ``wanted``). With
        one input there is no ratio to miss: 0.
        """
        return float(np.square(1 - self.matrix / self.wanted).mean()) if self.wanted else 0.0


class Controllability:
    """Scores a topology by its control over input ratios (paper, section VI), in one of three readings.

    Parameters
    ----------
    reading:
        ``"uniform"`` (some ms at n = 32), ``"trained"`` or ``"fair"`` (10 s by pairs, 1 s without); see above.
    by_pair:
        Whether pairs of inputs are kept apart; by default up to 32 inputs.
    steps:
        Gradient steps of the readings that train. With 0 they are the uniform reading.
    device:
        Where torch trains them, such as ``"cuda"``.

    Raises
    ------
    ValueError
        For another reading, or fewer than 0 steps.
    """

    def __init__(
        self, reading: Reading = "uniform", *, by_pair: bool | None = None, steps: int = STEPS, device: str = "cpu"
    ) -> None:
        if reading not in get_args(Reading):
            raise ValueError(f"reading is {reading!r}: choose {', '.join(map(repr, get_args(Reading)))}")
        if steps < 0:
            raise ValueError(f"steps = {steps}: 0 or more")
        self.reading, self.by_pair, self.steps, self.device = reading, by_pair, steps, device

    def evaluate(self, topology: Topology, fidelity: Fidelity, stream: Stream, seed: int) -> Score:
        """The shortfall of K (see :class:`Control`) as the error of every target; nothing is drawn at random.

        0 is full and fair control of all outputs, 1 none at all.
        """
        return Score((self.analyse(topology).shortfall,) * fidelity.targets)

    def evaluate_many(self, tasks: Sequence[Task]) -> list[Score]:
        """The scores of the tasks' own topologies, see :meth:`evaluate` and :meth:`analyse_many`."""
        controls = self.analyse_many([task.topology for task in tasks])
        return [
            Score((control.shortfall,) * task.fidelity.targets) for task, control in zip(tasks, controls, strict=True)
        ]

    def analyse(self, topology: Topology) -> Control:
        """K and what is read off it.

        Inputs that an output does not see give 0 there. One input, or no trainable edge: K = 0.
        """
        return self.analyse_many([topology])[0]

    def analyse_many(self, topologies: Sequence[Topology]) -> list[Control]:
        """As :meth:`analyse`, for any topologies; those with equal ``n_in`` train side by side, in :data:`MEMORY`.

        On a CPU the bits are those of one at a time. That saves most where arrays are small: with pairs summed out at
        n = 32, 32 together take an eighth of the time. By pairs, and in the uniform reading, it saves nothing there.
        """
        if self.reading == "uniform":
            last = (deque(uniform(one, self._pairs(one.n_in)), maxlen=1).pop() for one in topologies)
            return [Control(matrix(control)) for control in last]
        from evaluators.controllability_training import train

        found: dict[int, Control] = {}
        for places in self._batches(topologies):
            together = [topologies[place] for place in places]
            by_pair = self._pairs(together[0].n_in)
            trained = train(together, self.reading, by_pair, self.steps, self.device)
            for place, layers in zip(places, trained, strict=True):
                found[place] = Control(matrix(layers[-1].control))
        return [found[place] for place in range(len(topologies))]

    def _batches(self, topologies: Sequence[Topology]) -> Iterator[list[int]]:
        """Places of topologies with equal ``n_in`` that train within MEMORY together, or one alone."""
        by_inputs: dict[int, list[int]] = defaultdict(list)
        for place, topology in enumerate(topologies):
            by_inputs[topology.n_in].append(place)
        for n_in, places in by_inputs.items():
            batch, held = list[int](), 0
            for place in places:
                size = training_bytes(topologies[place], self._pairs(n_in))
                if batch and held + size > MEMORY:
                    yield batch
                    batch, held = [], 0
                batch.append(place)
                held += size
            yield batch

    def _pairs(self, n_in: int) -> bool:
        return n_in <= PAIRS_UP_TO if self.by_pair is None else self.by_pair


def training_bytes(topology: Topology, by_pair: bool) -> int:
    """A bound on the memory that training takes, ``(60 E + 140 N) n_in`` bytes summed, ``n_in²`` instead by pairs.

    E counts the edges after the first layer, N the neurons after it. Summed, 8000 edges at n = 512 take 0.4 GB, and
    300 steps 40 s.
    """
    edges, neurons = topology.n_edges - topology.layers[0].n_edges, sum(topology.widths[1:])
    return (60 * edges + 140 * neurons) * topology.n_in ** (2 if by_pair else 1)


@dataclass(frozen=True)
class Stage:
    """One layer and the neurons after it.

    ``sources`` and ``targets`` are the layer's edges. ``added`` is the control that each of its ``n_out`` neurons can
    add, at most. ``sees``, of shape ``(n_out, inputs of the cascade)``, is whether an input has a path to a neuron.
    """

    n_in: int
    n_out: int
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    added: NDArray[np.int64]
    sees: NDArray[np.bool_]

    @cached_property
    def room(self) -> NDArray[np.int64]:
        """The ratios there are at a neuron, one fewer than it sees inputs (Eq. 11), shape ``(n_out,)``."""
        return np.asarray(np.maximum(self.sees.sum(axis=1) - 1, 0))

    def pairs(self, by_pair: bool) -> NDArray[np.bool_]:
        """Where a neuron can add control: both inputs of a pair are seen, or with pairs summed out, it and another."""
        if by_pair:
            return self.sees[:, :, None] & self.sees[:, None, :] & ~np.eye(self.sees.shape[1], dtype=np.bool_)
        return self.sees & (self.room > 0)[:, None]


def stages(topology: Topology) -> list[Stage]:
    """The layers of a topology as control sees them, inputs first."""
    found = []
    for layer, sees in zip(topology.layers, from_inputs(topology)[1:], strict=True):
        trainable = np.bincount(layer.targets[layer.trainable], minlength=layer.n_out)
        added = np.minimum(trainable, np.maximum(layer.fan_in - 1, 0))
        sources, targets = layer.sources.astype(np.int64), layer.targets.astype(np.int64)
        found.append(Stage(layer.n_in, layer.n_out, sources, targets, added, sees.T))
    return found


def uniform(topology: Topology, by_pair: bool) -> Iterator[NDArray[np.float64]]:
    """The uniform reading: control at the neurons after every layer, in the shape of its form."""
    per_neuron = (topology.n_in,) * (2 if by_pair else 1)
    control = np.zeros((topology.n_in, *per_neuron))  # Eq. 10
    for stage in stages(topology):
        fan_out = np.bincount(stage.sources, minlength=stage.n_in)
        even = csr_array((1 / fan_out[stage.sources], (stage.targets, stage.sources)), (stage.n_out, stage.n_in))
        arriving = np.asarray(even @ control.reshape(stage.n_in, -1)).reshape(stage.n_out, *per_neuron)
        pairs = stage.pairs(by_pair).reshape(stage.n_out, -1)
        added = pairs * (stage.added / np.maximum(pairs.sum(axis=1), 1))[:, None]
        control = limited(arriving + added.reshape(arriving.shape), np.maximum(stage.room, 1))
        yield control


def limited(control: Any, room: Any) -> Any:
    """Control cut down to what Eq. 9 and 11 allow; the shape ``(neurons, n_in, n_in)`` or ``(neurons, n_in)`` stays.

    First to [0, 1], then each pair, then the neuron as a whole. With pairs summed out only the last can be done.
    ``room`` has shape ``(neurons,)`` and is 1 or more. NumPy arrays and torch tensors are both welcome.
    """
    if control.ndim == 3:
        control = control.clip(0, 1)
        control = control / (control + control.swapaxes(1, 2)).clip(1)
    total = control.reshape(len(room), -1).sum(1)
    return control * (room / total.clip(room)).reshape(-1, *[1] * (control.ndim - 1))


def matrix(at_outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """K of the control at the outputs, in either form: shape ``(n_in, n_out)``."""
    return (at_outputs.sum(axis=2) if at_outputs.ndim == 3 else at_outputs).T
