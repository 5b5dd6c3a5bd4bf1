"""The cheap score: how well a topology reconstructs after a short training.

Scores that need no target are quicker, but hold only among topologies of the kind that they were made for; this one has
the least worst rank correlation with the error over eight kinds (``python -m tests.benchmarks.scores``).
"""

from __future__ import annotations

from evaluators.reconstruction.evaluator import MatrixReconstruction
from evaluators.task import Fidelity, Split
from topologies.topology import Topology

SHORT = Fidelity(targets=4, steps=600, rates=(0.6,))
"""At a rate that few topologies diverge at: at twice that, ranks are worth much less."""


def default_score(topology: Topology, seed: int = 0) -> float:
    """The mean relative error on a few random targets after a short training; it ranks topologies of one size.

    Lower is better, and 1 is what no training at all leaves. Equal seeds have equal targets.

    >>> from topologies import butterfly
    >>> default_score(butterfly(8, 6)) < default_score(butterfly(8, 3)) < 1
    True
    """
    return MatrixReconstruction().evaluate(topology, SHORT, Split.SEARCH, seed).error
