"""What a Ray cluster has, and what a worker takes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import shorten

import ray
from ray.exceptions import RayError

from evaluators.task import GpuEvaluator

_PROBE_SECONDS = 120.0
"""How long a GPU may take to show that it works; kernels are compiled for it meanwhile."""


@dataclass(frozen=True)
class Share:
    """What one worker takes of a cluster."""

    cpus: float = 1.0
    gpus: float = 0.0

    def __str__(self) -> str:
        return f"{self.cpus:g} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")


def living_nodes() -> dict[str, Mapping[str, float]]:
    """The resources of every node that is there, by the node's id."""
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]


def room_for(share: Share) -> int:
    """Workers that the cluster can hold; each takes its share from one node."""
    return sum(_room_on(resources, share) for resources in living_nodes().values())


def nodes_with_room(share: Share) -> set[str]:
    """The addresses of the nodes that can hold a worker when they are idle."""
    nodes = (node for node in ray.nodes() if node["Alive"])  # type: ignore[no-untyped-call]
    return {node["NodeManagerAddress"] for node in nodes if _room_on(node["Resources"], share)}


def has_gpus() -> bool:
    """Whether any node has a GPU."""
    return any(resources.get("GPU") for resources in living_nodes().values())


def gpu_trouble(evaluator: GpuEvaluator) -> str | None:
    """Why an evaluator cannot use a GPU of the cluster, as tried on one of them; None if it can."""
    remote = ray.remote(num_gpus=1, num_cpus=0, max_retries=0)(_trouble_here)
    try:
        trouble: str | None = ray.get(remote.remote(evaluator), timeout=_PROBE_SECONDS)
    except TimeoutError:
        return f"none was free and ready within {_PROBE_SECONDS:.0f} s"
    except RayError as error:
        return gist(error)
    return trouble


def gist(error: RayError) -> str:
    """The gist of Ray's long explanations, which stands at their end."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return shorten(lines[-1], 400, placeholder=" ...") if lines else type(error).__name__


def _trouble_here(evaluator: GpuEvaluator) -> str | None:
    return evaluator.gpu_trouble()


def _room_on(resources: Mapping[str, float], share: Share) -> int:
    room = _times(share.cpus, resources.get("CPU", 0.0))
    if share.gpus:
        gpus = resources.get("GPU", 0.0)  # shares of less than one are cut from single GPUs
        room = min(room, int(gpus) * _times(share.gpus, 1.0) if share.gpus < 1 else _times(share.gpus, gpus))
    return room


def _times(part: float, whole: float) -> int:
    return int(whole / part + 1e-6)
