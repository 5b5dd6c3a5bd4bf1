"""Clusters of several nodes on one machine, and an evaluator that writes down where it was at work.

The stories run in processes of their own, as ``python -m tests.cluster.nodes STORY FOLDER``: a process can be connected
to one cluster only.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cluster.pool import Pool
from evaluators.task import Fidelity, Score, Split, Task
from topologies import butterfly

QUICK_TO_NOTICE = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
"""A node that does not answer is taken for dead after a few seconds; Ray's own limit is some twenty."""

ADDRESS = "10.77.0."
"""Of machines in network namespaces, but for the last number, which counts from one."""


@dataclass(frozen=True)
class Witness:
    """Takes a while, and writes into a file a task which nodes began and ended it."""

    folder: Path
    seconds: float = 0.2

    def evaluate(self, topology: object, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """A score that depends on the seed alone; 0 is the canary's."""
        if seed == 0:
            return Score((0.5,))
        self._note(seed, "began")
        time.sleep(self.seconds)
        self._note(seed, "ended")
        return Score((1 / (seed + 1), 0.5), 0.1)

    def notes(self, what: str) -> dict[int, list[str]]:
        """The nodes that began, or ended, each task."""
        found = {}
        for file in self.folder.glob("[0-9]*"):
            lines = [line.split() for line in file.read_text().splitlines()]
            found[int(file.name)] = [node for word, node in lines if word == what]
        return found

    def nodes(self, what: str) -> set[str]:
        """The nodes that began, or ended, any task."""
        return {node for nodes in self.notes(what).values() for node in nodes}

    def _note(self, seed: int, what: str) -> None:
        import ray

        with (self.folder / str(seed)).open("a") as file:
            file.write(f"{what} {ray.get_runtime_context().get_node_id()}\n")


def tasks(first: int, count: int) -> list[Task]:
    """Tasks with a seed each, which is also their number."""
    topology, fidelity = butterfly(4, 3), Fidelity(targets=2, steps=5, rates=(0.1,))
    return [
        Task(number=seed, topology=topology, fidelity=fidelity, split=Split.SEARCH, seed=seed)
        for seed in range(first, first + count)
    ]


def until(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def answered_once(pool: Pool, asked: list[Task]) -> None:
    """Take all answers, and see that every task has one and none a second."""
    outcomes = []
    while pool.in_flight:
        outcomes += pool.wait()
    assert pool.wait() == []
    assert sorted(outcome.number for outcome in outcomes) == [task.number for task in asked]
    assert [one.answer.failure for one in outcomes if one.answer.failure] == []


def used_by(pool: Pool, witness: Witness, node: str) -> None:
    """Give the pool work until a node does some of it."""
    for first in range(1000, 1400, 4):
        asked = tasks(first, 4)
        pool.submit(asked)
        answered_once(pool, asked)
        if node in witness.nodes("ended"):
            return
    raise AssertionError(f"{node} is never used")


def survives(pool: Pool, witness: Witness, node: str, lose: Callable[[], object], first: int = 100) -> None:
    """Lose a node in the middle of a task: every task is answered all the same."""
    asked = tasks(first, 24)
    pool.submit(asked)

    def at_work() -> set[int]:
        began, ended = witness.notes("began"), witness.notes("ended")
        return {task for task in began if node in began[task] and not ended[task]}

    until(at_work)
    lose()
    answered_once(pool, asked)


def one_machine(folder: Path) -> None:
    """Two nodes, a third that joins, and one that is killed."""
    import ray
    from ray.cluster_utils import Cluster

    from cluster.ray_session import session

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": QUICK_TO_NOTICE})
    second = cluster.add_node(num_cpus=1)
    with session(cluster.address):
        from cluster.ray_pool import RayPool

        witness = Witness(folder)
        pool = RayPool(witness)
        for node in ray.nodes():
            used_by(pool, witness, node["NodeID"])
        say(folder, "both nodes work")
        third = cluster.add_node(num_cpus=1)
        used_by(pool, witness, third.node_id)
        say(folder, "a third has joined")
        survives(pool, witness, second.node_id, lambda: cluster.remove_node(second, allow_graceful=False))
        assert any(len(nodes) > 1 for nodes in witness.notes("began").values()), "its task had to begin again"
        say(folder, "one has died")
        pool.close()
    cluster.shutdown()


def three_machines(folder: Path, *spaces: str) -> None:
    """Nodes with addresses of their own in network namespaces: one is cut off for a moment, then for good, and returns.

    The first namespace is the one that this process is in, and its bridge leads to the others.
    """
    import ray

    from cluster.ray_session import session

    address = f"{ADDRESS}1:6379"
    settings = json.dumps(QUICK_TO_NOTICE)
    nodes = [start(spaces[0], 1, "--head", "--port=6379", f"--system-config={settings}", "--include-dashboard=false")]
    try:
        for place, space in enumerate(spaces[1:], 2):
            nodes.append(start(space, place, f"--address={address}"))
        with session(address):
            from cluster.ray_pool import RayPool

            def alive() -> dict[str, str]:
                return {node["NodeManagerAddress"]: node["NodeID"] for node in ray.nodes() if node["Alive"]}

            until(lambda: len(alive()) == len(spaces))
            assert sorted(alive()) == [f"{ADDRESS}{place}" for place in range(1, len(spaces) + 1)]
            witness = Witness(folder)
            pool = RayPool(witness)
            for node in alive().values():
                used_by(pool, witness, node)
            say(folder, "all machines work")
            last, name = spaces[-1], f"{ADDRESS}{len(spaces)}"
            cut, gone = cable(last), alive()[name]

            def blink() -> None:
                cut("down")
                time.sleep(0.5)
                cut("up")

            survives(pool, witness, gone, blink)
            assert alive()[name] == gone
            say(folder, "one was out of reach for a moment")
            survives(pool, witness, gone, lambda: cut("down"), first=200)
            until(lambda: name not in alive())
            say(folder, "one was cut off")
            cut("up")
            nodes[-1].wait(30)  # Ray ends a node that was given up
            nodes.append(start(last, len(spaces), f"--address={address}"))
            until(lambda: name in alive())
            used_by(pool, witness, alive()[name])
            say(folder, "it is back")
            pool.close()
    finally:
        for process in nodes:
            process.terminate()
        for process in nodes:
            process.wait(10)


def start(space: str, place: int, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a node in a namespace, and wait until it runs: nodes that share a disk must not start at the same time."""
    ray_start = "import sys; from ray.scripts.scripts import main; sys.argv[1:1] = ['start', '--block']; main()"
    command = ["ip", "netns", "exec", space, sys.executable, "-c", ray_start]
    process = subprocess.Popen(
        [*command, *arguments, "--num-cpus=1", f"--node-ip-address={ADDRESS}{place}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = b""
    for line in process.stdout:
        said += line
        if b"Ray runtime started" in line:
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return process
    raise AssertionError(said.decode())


def cable(space: str) -> Callable[[str], object]:
    """Sets the cable between a namespace and the bridge "up" or "down"."""
    return lambda state: subprocess.run(["ip", "link", "set", space, state], check=True)


def say(folder: Path, what: str) -> None:
    """Write down how far a story got; Ray itself writes to the terminal."""
    with (folder / "said").open("a") as file:
        file.write(f"{what}\n")


if __name__ == "__main__":
    {"one_machine": one_machine, "three_machines": three_machines}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
