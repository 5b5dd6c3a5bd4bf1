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
some ``8 w n_in²`` by pairs and ``16 w n_in`` summed; for training see :func:`training_bytes`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from evaluators.controllability.model import Control, matrix
from evaluators.task import Fidelity, Score, Split, Task
from topologies.stack import the_topology
from topologies.topology import Topology

Reading = Literal["uniform", "trained", "fair"]

PAIRS_UP_TO = 32
"""The greatest n_in for which pairs are kept apart, unless asked otherwise."""
STEPS = 300
"""Gradient steps of the readings that train, unless asked otherwise."""
MEMORY = 1 << 30
"""Bytes within which topologies train side by side."""


class Controllability:
    """Scores a topology by its control over input ratios (paper, section VI), in one of three readings.

    Parameters
    ----------
    reading:
        ``"uniform"`` (half a ms at n = 32), ``"trained"`` or ``"fair"`` (10 s by pairs, 1 s without); see above.
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

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """The shortfall of K (see :class:`Control`) as the error of every target; nothing is drawn at random.

        0 is full and fair control of all outputs, 1 none at all.
        """
        return Score((self.analyse(topology).shortfall,) * fidelity.targets)

    def evaluate_many(self, tasks: Sequence[Task]) -> list[Score]:
        """The scores of the tasks' own topologies, see :meth:`evaluate` and :meth:`analyse_many`."""
        controls = self.analyse_many([the_topology(task.topology, "a task") for task in tasks])
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
            from evaluators.controllability.compiled import uniform_matrix

            return [Control(uniform_matrix(one, self._pairs(one.n_in))) for one in topologies]
        from evaluators.controllability.training import train

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
