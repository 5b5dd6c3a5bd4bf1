"""What a topology that was searched at 32 x 32 is worth at larger sizes, lifted, beside families built there.

Run with `python -m tests.benchmarks.lifted CHAMPION`, a topology file or the folder of a run; takes some minutes.
"""

from __future__ import annotations

import sys

from rich.console import Console

from evaluators import MatrixReconstruction
from evaluators.task import Fidelity, Split
from tests.benchmarks.problems import table
from topologies import Topology, lift
from topologies.families import find, members
from topologies.names import resolve
from topologies.reach import unconnected_share

FIDELITIES = {4: Fidelity(8, 2000, (1.2, 2.4, 4.8, 9.6)), 8: Fidelity(4, 1200, (1.2, 2.4, 4.8, 9.6))}
"""Copies of every neuron, and how what comes of them is scored: targets, steps, learning rates."""


def rivals(topology: Topology) -> dict[str, Topology]:
    """Members of families at the same sizes, of as many trainable edges at most."""
    n_in, n_out, budget = topology.n_in, topology.n_out, topology.n_trainable
    fitted = [find(name).fit(n_in, n_out, budget) for name in ("random_regular", "parallel_butterfly")]
    butterflies = [one for one in members("parallel_butterfly", n_in, n_out, budget) if one.n_trainable == budget]
    return {
        f"{one.expression}, fit" if one in fitted else one.expression: one.topology()
        for one in [fitted[0], *butterflies]
    }


def lifted_table(champion: Topology, k: int) -> None:
    """Error of the lift of the champion, of that of the control it was searched beside, and of what is built there."""
    fidelity = FIDELITIES[k]
    control = find("random_regular").fit(champion.n_in, champion.n_out, champion.n_trainable)
    rows = {f"champion, lifted {k} times (seed {seed})": lift(champion, k, seed) for seed in range(3)}
    rows[f"{control.expression}, lifted {k} times"] = lift(control.topology(), k)
    rows |= rivals(next(iter(rows.values())))
    size = f"{k * champion.n_in} x {k * champion.n_out}"
    title = f"{size}: relative error, {fidelity.targets} targets x {fidelity.steps} steps"
    result = table(title, "topology", "trainable", "edges", "depth", "unconnected", "error", "rate")
    for name, topology in rows.items():
        score = MatrixReconstruction().evaluate(topology, fidelity, Split.SEARCH, 0)
        result.add_row(
            name,
            str(topology.n_trainable),
            str(topology.n_edges),
            str(topology.depth),
            f"{unconnected_share(topology):.2%}",
            f"{score.error:.4f}",
            str(score.learning_rate),
        )
    Console(width=120).print(result)


if __name__ == "__main__":
    found = resolve(sys.argv[1])
    for copies in FIDELITIES:
        lifted_table(found, copies)
