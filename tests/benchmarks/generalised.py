"""What a champion's law is worth at other sizes: `python -m tests.benchmarks.generalised CHAMPION`.

At each size the topology that ``evofabric generalise`` makes is compared with the evolved family's, with the best
member of all hand-derived families (of random regular alone, too), screened and tuned as in
:mod:`tests.benchmarks.rules`, on the same test targets: ratios of errors with paired 95 % intervals.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from evaluators import MatrixReconstruction
from evaluators.task import Score, Split
from evo.studies.rules.generalise import generalised
from tests.benchmarks.rules import FINALISTS, RANK, SCREEN, SEED, error
from topologies.expression import parse
from topologies.families import FAMILIES, HAND_DERIVED, members
from topologies.names import resolve_any
from topologies.topology import Topology

SIZES = ((24, 24, 360), (20, 56, 500), (48, 48, 1440), (32, 32, 320))
TEST_TARGETS = 32


def ranked(topology: Topology) -> Score:
    """The score on the validation targets, where the learning rate is chosen."""
    return MatrixReconstruction().evaluate(topology, RANK, Split.VALIDATION, SEED)


def tested(topology: Topology) -> Score:
    """The score on the test targets at that rate."""
    fidelity = RANK.promoted(TEST_TARGETS, ranked(topology))
    return MatrixReconstruction().evaluate(topology, fidelity, Split.TEST, SEED)


def compared(own: Score, other: Score) -> str:
    """The ratio of the errors, and its interval over the targets."""
    logs = np.log(own.errors) - np.log(other.errors)
    middle, half = logs.mean(), 1.96 * logs.std(ddof=1) / np.sqrt(logs.size)
    low, ratio, high = np.exp([middle - half, middle, middle + half])
    return f"{ratio:.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """A line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("champion", type=Path)
    champion = resolve_any(str(parser.parse_args().champion))
    for n_in, n_out, budget in SIZES:
        _, topology = generalised(champion, n_in, n_out, budget)
        own = tested(topology)
        evolved = tested(FAMILIES["evolved"].fit(n_in, n_out, budget).topology())
        print(f"{n_in} x {n_out}, {budget}: error {own.error:.4f}, {topology.n_edges} edges, depth {topology.depth}; "
              f"over evolved {compared(own, evolved)}", flush=True)  # fmt: skip
        found = {
            member.expression: error(member.expression, SCREEN, Split.SEARCH).error
            for family in HAND_DERIVED
            for member in members(family, n_in, n_out, budget)
        }
        order = sorted(found, key=found.__getitem__)
        regular = [one for one in order if one.startswith("random_regular(")]
        for name, some in (("hand-derived", order), ("random regular", regular)):
            best = min(some[:FINALISTS], key=lambda one: ranked(parse(one)).error)
            print(f"    over {name}, {best}: {compared(own, tested(parse(best)))}", flush=True)


if __name__ == "__main__":
    main()
