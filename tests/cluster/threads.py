"""An evaluator for workers: in a module of its own, because a worker imports what it is given."""

from __future__ import annotations

import os

from evaluators.task import Fidelity, Score, Split


class Threads:
    """Scores how many threads a worker's libraries may use."""

    def evaluate(self, topology: object, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """Threads of numba and of OpenMP; nothing for the canary, as the driver is under no limit."""
        if seed == 0:
            return Score((0.0,))
        import numba

        return Score((numba.get_num_threads(), int(os.environ["OMP_NUM_THREADS"])))
