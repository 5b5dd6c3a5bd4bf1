"""What lives in a Ray actor: one evaluator, which computes on one thread."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ray

if TYPE_CHECKING:
    from evaluators.task import Evaluator, Outcome, Task

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""What numerical libraries read, once, when they are loaded."""


class Worker:
    """Holds the evaluator, evaluates batches of tasks one by one.

    The number of threads is set here and not by a ``runtime_env``, for which Ray has every worker started by a shell:
    that would take longer, and fail where the path of a node's Python has a blank.

    Parameters
    ----------
    held:
        A list of one reference to the evaluator and the small evaluation by which the actor proves itself. A bare
        reference Ray would follow, and load numerical libraries with what it finds, before this class is asked.
    """

    def __init__(self, held: Sequence[Any]) -> None:
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
        (reference,) = held
        self._evaluator: Evaluator
        self._proof: Task
        self._evaluator, self._proof = ray.get(reference)
        gpus = ray.get_gpu_ids()
        place = f"gpu {','.join(str(gpu) for gpu in gpus)}" if gpus else "cpu"
        self._device = f"{place} on {socket.gethostname()}"

    def prove(self) -> tuple[str, str, str]:
        """Compile what must be compiled; what bits one small evaluation gives here, and the node's number and name."""
        from evaluators.run import canary

        node = str(ray.get_runtime_context().get_node_id())
        return canary(self._evaluator, self._proof), node, socket.gethostname()

    def evaluate(self, tasks: Sequence[Task]) -> list[Outcome]:
        """The outcomes of a batch."""
        from evaluators.run import run

        return run(self._evaluator, tasks, self._device)
