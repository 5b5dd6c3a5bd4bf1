"""A Ray cluster of two nodes, ``python -m tests.chaos.nodes``; "lose" and "join" tell it what to do.

It says the address, then for every node besides the first the process that its workers are children of.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.nodes import QUICK_TO_NOTICE

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Nodes:
    """A cluster as seen from outside."""

    address: str
    process: subprocess.Popen[str]

    def has(self, worker: int, node: int) -> bool:
        """Whether a worker's process is on a node."""
        try:
            stat = Path(f"/proc/{worker}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return int(stat.rpartition(")")[2].split()[1]) == node

    def ask(self, what: str) -> str:
        """Have it "lose" the second node, or have one "join"; the answer."""
        assert self.process.stdin
        print(what, file=self.process.stdin, flush=True)
        return self.heard()

    def heard(self) -> str:
        """The next line that it says."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()


@contextmanager
def nodes(environment: Mapping[str, str]) -> Iterator[Nodes]:
    """A cluster of two nodes."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.nodes"],
        cwd=REPOSITORY,
        env={**clean, "PYTHONPATH": str(REPOSITORY), "RAY_USAGE_STATS_ENABLED": "0", **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        yield Nodes(process.stdout.readline().strip(), process)
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(60)


def main() -> None:
    """Keep a cluster until the standard input ends."""
    from ray.cluster_utils import Cluster

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # where Ray talks
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": QUICK_TO_NOTICE})
    second = cluster.add_node(num_cpus=1)
    print(cluster.address, second.all_processes["raylet"][0].process.pid, sep="\n", file=out, flush=True)
    for line in sys.stdin:
        if line.strip() == "lose":
            cluster.remove_node(second, allow_graceful=False)
            print("lost", file=out, flush=True)
        else:
            third = cluster.add_node(num_cpus=1)
            print(third.all_processes["raylet"][0].process.pid, file=out, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
