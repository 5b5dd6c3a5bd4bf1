"""The faults of Ray actors and nodes."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from typing import Any

from evo.storage.records import ScoreRecord
from tests.chaos import driver, evaluator
from tests.chaos.nodes import Nodes, nodes
from tests.chaos.rounds import Dice, any_place
from tests.chaos.stage import KILLED, Stage, calm

IN_RAY = {"pool": "ray", "workers": 2, "cores_per_worker": 0.5}


def in_ray(fault: Callable[[Stage, Dice], str]) -> Callable[[Stage, Dice], str]:
    """The same fault where actors evaluate."""

    def with_actors(stage: Stage, dice: Dice) -> str:
        stage.cluster = IN_RAY
        return fault(stage, dice)

    return with_actors


def begun_again(stage: Stage, key: Any, process: int) -> bool:
    """Whether another process has taken up what one had begun."""
    return any(one["key"] == key and one["process"] != process for one in stage.notes("began"))


def actors_killed(stage: Stage, dice: Dice) -> str:
    """SIGKILL to actors in the middle of an evaluation, at random moments."""
    places = sorted(int(place) for place in dice.integers(1, 150, 3))
    assert stage.drive(moments=[(place, float(dice.uniform(0, 0.03)), "kill worker") for place in places]) == 0
    fallen = stage.fallen
    assert len(fallen) == len(places), stage.story()
    again = sum(begun_again(stage, one["key"], one["process"]) for one in fallen)
    assert again == len(fallen), f"an actor had ended its work\n{stage.story()}"
    return f"{len(fallen)} actors at work, after {', '.join(map(str, places))} evaluations"


def troubles(stage: Stage, dice: Dice) -> str:
    """An evaluation that hangs, one that exits, one that wants too much memory and one that is killed for it."""
    stage.cluster = {**stage.cluster, "task_timeout": 5.0}
    places = sorted(int(place) for place in dice.integers(10, 140, 3))
    stage.once = {
        "hangs": 1,
        **dict(zip(dice.permutation(["dies", "exhausts", "killed"]).tolist(), places, strict=True)),
    }
    assert stage.drive() == 0, stage.story()
    fallen = stage.notes(*stage.once)
    assert {one["what"] for one in fallen} == set(stage.once), stage.story()
    assert all(begun_again(stage, one["key"], one["process"]) or one["what"] == "exhausts" for one in fallen)
    failures = {str(one.failure).partition(" (")[0] for one in stage.records if isinstance(one, ScoreRecord)}
    assert failures == {"None", "ArithmeticError: too sparse for me", "not every error is a finite number"}
    return ", ".join(f"{one['what']} once" for one in fallen)


def poison(stage: Stage, dice: Dice) -> str:
    """What kills every process that evaluates it fails, as it does where it only asks for too much memory."""
    calm_folder, stage.environment = stage.folder / "calm", {evaluator.POISON: "killed"}
    stage.calm = calm(calm_folder, stage.home, {evaluator.POISON: "exhausts"})
    assert stage.drive() == 0, stage.story()
    failed = [one for one in stage.records if isinstance(one, ScoreRecord) and "died of it" in str(one.failure)]
    scores = [one for one in stage.calm.records if isinstance(one, ScoreRecord)]
    exhausted = [one for one in scores if "MemoryError" in str(one.failure)]
    assert {one.digest for one in failed} == {one.digest for one in exhausted} != set()
    return f"{len(failed)} evaluations"


def driver_and_actors_killed(stage: Stage, dice: Dice) -> str:
    """First an actor, then the driver."""
    place = any_place(stage, dice)
    moments = [(max(place // 2, 1), 0.0, "kill worker"), (place, float(dice.uniform(0, 0.03)), "kill")]
    assert stage.drive(moments=moments) == KILLED
    assert [one["place"] for one in stage.fallen] == ["an actor at work", "SIGKILL"]
    return f"{stage.place()}: an actor, then the driver"


def node_dies(stage: Stage, dice: Dice) -> str:
    """A node is killed in the middle of an evaluation; later another joins, and is used."""
    temporary = tempfile.mkdtemp(prefix="ray")
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    stage.environment = {**secret, evaluator.SLOWLY: "0.2"}
    shared = {evaluator.DIARY: str(stage.diary), **stage.environment, "RAY_TMPDIR": temporary}
    try:
        with nodes(shared) as cluster:
            stage.cluster = {"pool": "ray", "address": cluster.address}
            watcher = Watcher(stage, cluster, int(dice.integers(20, 80)))
            stage.beside = watcher.look
            assert stage.drive() == 0, stage.story()
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    (fell,) = stage.fallen
    assert begun_again(stage, fell["key"], fell["process"]), stage.story()
    assert watcher.third_used, "a node that joined was never used"
    return f"after {watcher.place} evaluations a node at work; another joined"


class Watcher:
    """Kills a cluster's second node while it is at work, and lets another join."""

    def __init__(self, stage: Stage, cluster: Nodes, place: int) -> None:
        self.place, self.third_used = place, False
        self._stage, self._cluster = stage, cluster
        self._second, self._third = int(cluster.heard()), 0

    def look(self) -> None:
        """See whether it is time."""
        began, working = self._stage.notes("began"), driver.at_work(self._stage.diary)
        if self._third:
            self.third_used |= any(self._cluster.has(one["process"], self._third) for one in working)
        elif len(began) >= self.place:
            there = [one for one in working if self._cluster.has(one["process"], self._second)]
            victim = driver.freeze(there, self._stage.diary)
            if victim is not None:
                about = {"key": victim["key"], "process": victim["process"]}
                evaluator.note("fell", self._stage.diary, place="a node at work", **about)
                self._cluster.ask("lose")
                os.kill(victim["process"], signal.SIGKILL)
                self._third = int(self._cluster.ask("join"))
