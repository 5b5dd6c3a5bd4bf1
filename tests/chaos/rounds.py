"""The faults of a driver that evaluates in its own process, and what each round must show besides the same result."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import zlib
from collections.abc import Callable

import numpy as np

from evo.storage.header import JOURNAL
from evo.storage.journal import read
from evo.storage.records import EndRecord, ScoreRecord, to_text
from tests.chaos import evaluator
from tests.chaos.stage import FAILED, KILLED, STOPPED, Stage, has_ended
from tests.chaos.steps import durable

Dice = np.random.Generator
Fault = Callable[[Stage, Dice], str]
"""Lets a fault fall once or more, sees that it fell where it should, and says where that was."""


AT_ONCE = 20.0
"""Seconds, which are many, that a driver takes to end when it is told to; it would wait longer for MLflow or Ray."""


def any_place(stage: Stage, dice: Dice) -> int:
    """A number of evaluations, less than what is left to do by a few."""
    return int(dice.integers(1, max(2, stage.left - 8)))


def killed_at_random(stage: Stage, dice: Dice) -> str:
    """SIGKILL at random moments, again and again."""
    places = []
    for _ in range(int(dice.integers(1, 4))):
        moment = (any_place(stage, dice), float(dice.uniform(0, 0.03)), "kill")
        assert stage.drive(moments=[moment]) == KILLED
        assert not any(isinstance(one, EndRecord) for one in stage.records), "it had no time to say so"
        places.append(stage.place())
    return "; ".join(places)


def killed_before_the_journal(stage: Stage, dice: Dice) -> str:
    """Answers that have arrived and are not on disk are lost with the driver, and only these are evaluated again."""
    assert stage.drive("before journal", any_place(stage, dice)) == KILLED
    (fell,) = stage.fallen
    lost = {tuple_key(key) for key in fell["keys"]}
    assert lost and not lost & set(durable(stage.records))
    return f"{stage.place()}: {len(fell['keys'])} answers arrived, not on disk"


def killed_in_a_record(stage: Stage, dice: Dice) -> str:
    """A record that is half on disk is dropped with a notice, and evaluated again."""
    assert stage.drive("half a record", any_place(stage, dice)) == KILLED
    data = (stage.run / JOURNAL).read_bytes()
    assert not data.endswith(b"\n")
    half = len(data) - data.rfind(b"\n") - 1
    where = f"{stage.place()}: {half} bytes of a record on disk"
    stage.finish()
    assert "the last record was cut off and is dropped" in stage.output[-1]
    return where


def killed_before_telling(stage: Stage, dice: Dice) -> str:
    """Answers that are on disk and were not told are not lost."""
    assert stage.drive("before telling", any_place(stage, dice)) == KILLED
    (fell,) = stage.fallen
    assert durable(stage.records)[-len(fell["keys"]) :] == [tuple_key(key) for key in fell["keys"]]
    return f"{stage.place()}: {len(fell['keys'])} answers on disk, not told"


def tuple_key(plain: list[object]) -> tuple[object, ...]:
    """A key as it comes from the diary."""
    return (*plain[:-1], tuple(plain[-1]))  # type: ignore[arg-type]


def killed_in_a_checkpoint(stage: Stage, dice: Dice) -> str:
    """A checkpoint that was not finished is no checkpoint."""
    stage.checkpoints = True
    assert stage.drive("checkpoint", int(dice.integers(2, 12))) == KILLED
    (left,) = stage.run.glob(".checkpoint-*.tmp")
    return f"{stage.place()}: {left.stat().st_size} bytes beside the checkpoint"


def killed_in_the_champion(stage: Stage, dice: Dice) -> str:
    """The champion's file is the old one or the new one, whole."""
    from topologies import load

    assert stage.drive("champion", int(dice.integers(2, 6))) == KILLED
    assert list(stage.run.glob(".champion*.tmp")) and load(stage.run / "champion.safetensors")
    return f"{stage.place()}: beside the champion's file"


def killed_while_resuming(stage: Stage, dice: Dice) -> str:
    """Resuming may be cut off as often as one likes."""
    assert stage.drive(moments=[(any_place(stage, dice), 0.0, "kill")]) == KILLED
    known = len(durable(stage.records))
    steps = ["agreeing", "recovering", "breeding"]
    if isinstance(last := stage.records[-1], ScoreRecord) and last.phase in ("evolution", "random search"):
        steps.append("checkpoint read")
    for step in dice.permutation(steps):
        assert stage.drive(str(step)) == KILLED
    assert stage.notes("began")[-1] and len(stage.fallen) == len(steps) + 1
    return f"{known} known, then " + ", ".join(one["place"] for one in stage.fallen[1:])


def stopped(action: str) -> Fault:
    """Asked to stop, the driver says how to go on, and does so at once."""

    def fault(stage: Stage, dice: Dice) -> str:
        places = []
        for _ in range(2):
            moment = (any_place(stage, dice), float(dice.uniform(0, 0.02)), action)
            assert stage.drive(moments=[moment]) == STOPPED, stage.story()
            assert time.time() - stage.fallen[-1]["time"] < AT_ONCE, stage.story()
            assert f'Continue with: evofabric resume "{stage.run}"\n' in stage.output[-1], stage.story()
            assert has_ended(stage.records, "KILLED")
            places.append(stage.place())
        return "; ".join(places)

    return fault


def interrupted_again(stage: Stage, dice: Dice) -> str:
    """A second Ctrl-C while the first is obeyed, wherever that is, and one as fast as fingers are."""
    places = []
    for way in range(3):
        moment = (any_place(stage, dice), 0.0, "interrupt")
        assert stage.drive("interrupted again", way, moments=[moment]) == STOPPED, stage.story()
        assert time.time() - stage.fallen[-1]["time"] < AT_ONCE, stage.story()
        places.append(f"{stage.place()}: {stage.fallen[-1]['place']}")
    assert len(stage.fallen) == 6, stage.story()
    moment = (any_place(stage, dice), 0.0, str(dice.choice(["interrupt twice", "interrupt twice slowly"])))
    assert stage.drive(moments=[moment]) == STOPPED, stage.story()
    return "; ".join(places)


def interrupted_in_a_write(stage: Stage, dice: Dice) -> str:
    """Ctrl-C between writing a record and knowing that it is on disk."""
    assert stage.drive("interrupted in write", any_place(stage, dice)) == STOPPED, stage.story()
    assert has_ended(stage.records, "KILLED")
    return f"{stage.place()}: in the middle of a write"


def disk_fills(stage: Stage, dice: Dice) -> str:
    """A full disk is one line that says how to go on; the journal ends with a whole record."""
    assert stage.calm is not None
    size = sum(len(to_text(one)) for one in stage.calm.records)
    assert stage.drive("disk fills", int(dice.uniform(0.05, 0.9) * size)) == FAILED, stage.story()
    says_how_to_go_on(stage)
    (fell,) = stage.fallen
    assert (stage.run / JOURNAL).read_bytes().endswith(b"\n")
    return f"{stage.place()}: {fell['place']}"


def says_how_to_go_on(stage: Stage) -> None:
    """See that the last driver ended with one line, and which."""
    complaints = [line for line in stage.output[-1].splitlines() if "cannot be written" in line]
    assert len(complaints) == 1 and complaints[0].startswith("evofabric: "), stage.story()
    assert complaints[0].endswith(f'continue with: evofabric resume "{stage.run}"'), complaints
    assert stage.output[-1].splitlines()[-1] == complaints[0], stage.story()


def small_disk_fills(stage: Stage, dice: Dice) -> str:
    """The same on a real file system that is too small, as often as it takes; in between a little room is made."""
    stage.checkpoints, size = True, int(dice.integers(8, 30))
    stage.runs.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={4 * size}k", "none", stage.runs], capture_output=True
    ).returncode:
        stage.runs.rmdir()
        return f"no file system can be mounted here; {disk_fills(stage, dice)}"
    try:
        places = []
        while stage.drive():
            assert stage.codes[-1] == FAILED, stage.story()
            assert os.statvfs(stage.runs).f_bfree == 0, stage.story()
            says_how_to_go_on(stage)
            places.append(stage.place())
            size += int(dice.integers(2, 12))
            subprocess.run(["mount", "-o", f"remount,size={4 * size}k", stage.runs], check=True)
        assert places
        stage.finish()
        kept = stage.folder / "kept"
        shutil.copytree(stage.runs, kept)
    finally:
        subprocess.run(["umount", "--lazy", stage.runs], check=True)
    stage.runs = kept
    return f"tmpfs full {len(places)} times: " + "; ".join(places)


def checkpoint_lost(how: str) -> Fault:
    """A checkpoint that is gone, damaged, or older than the journal is made good from the journal."""

    def fault(stage: Stage, dice: Dice) -> str:
        stage.checkpoints = True
        assert stage.drive("checkpoint", int(dice.integers(2, 5))) == KILLED
        path = stage.run / "checkpoint-evolution.json.z"
        old = path.read_bytes()
        assert stage.drive("checkpoint", 3) == KILLED
        new = path.read_bytes()
        ages = [json.loads(zlib.decompress(data))["progress"]["generations"] for data in (old, new)]
        assert ages[0] < ages[1]
        if how == "deleted":
            path.unlink()
        elif how == "old":
            path.write_bytes(old)
        else:
            damaged = bytearray(new[: int(dice.integers(1, len(new) + 1))])
            damaged[int(dice.integers(len(damaged)))] ^= 1 << int(dice.integers(8))
            path.write_bytes(damaged)
        where = f"{stage.place()}: {how} (generation {ages[0]} told, the journal tells of {ages[1]})"
        stage.finish()
        assert ("is not used" in stage.output[-1]) == (how == "damaged"), stage.story()
        return where

    return fault


def journal_damaged(stage: Stage, dice: Dice) -> str:
    """Damage in the middle is named; what is before it is kept, and what is after it is evaluated again."""
    assert stage.drive(moments=[(any_place(stage, dice) + 8, 0.0, "kill")]) == KILLED
    path = stage.run / JOURNAL
    records = read(path)[0]
    number = int(dice.integers(1, len(records) - 1))
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = bytearray(lines[number])
    damaged[int(dice.integers(len(damaged) - 1))] ^= 1
    path.write_bytes(b"".join([*lines[:number], bytes(damaged), *lines[number + 1 :]]))
    assert stage.drive() == FAILED
    offer = f'evofabric resume "{stage.run}" --before-record {number}'
    assert stage.output[-1].count("\n") == 1 and offer in stage.output[-1], stage.output[-1]
    evaluator.note("lost", stage.diary, keys=durable(records[number:]))
    assert stage.drive(arguments=f"--before-record {number}") == 0, stage.story()
    return f"record {number} of {len(records)} damaged"


def evaluator_fails(stage: Stage, dice: Dice) -> str:
    """What raises and what is not a number are failures, in whatever order they come; never scores."""
    assert stage.drive(moments=[(any_place(stage, dice), 0.0, "kill")]) == KILLED
    stage.finish()
    failures = [one.failure for one in stage.records if isinstance(one, ScoreRecord) and one.failure]
    raised, nan = (
        sum(word in one for one in failures) for word in ("ArithmeticError", "not every error is a finite number")
    )
    assert raised > 5 and nan > 5 and raised + nan == len(failures)
    return f"{raised} raised, {nan} were not a number"
