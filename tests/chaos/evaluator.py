"""What the searches of the chaos rounds evaluate with, and the diary in which everybody writes down what happens."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from evaluators.task import Fidelity, Score, Split
from topologies import Topology

DIARY, ONCE, POISON, SLOWLY = "CHAOS_DIARY", "CHAOS_ONCE", "CHAOS_POISON", "CHAOS_SECONDS"
"""Environment variables: the diary's path; JSON that maps a trouble to the evaluation that first has it; the trouble
that some topologies always make; seconds."""

SECONDS = "0.02"
"""Of an evaluation in the mean, where nothing else is said; which ones are quick is the hidden schedule."""

Key = tuple[str, str, int, int, tuple[float, ...]]
"""An evaluation: digest, split, targets, steps and rates."""


class Hidden:
    """A score by digest, after a while that depends on the digest too; some topologies have none.

    A trouble that happens once is not the topology's, so whoever has to do with it must try again.
    """

    def evaluate(self, topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
        """A score, an ArithmeticError or a NaN, or for once something worse; seed 0 is the canary's."""
        if not seed:
            return Score((0.5,))
        note("began", key=key(topology.digest, split, fidelity), process=os.getpid())
        for trouble, first in json.loads(os.environ.get(ONCE, "{}")).items():
            if len(notes("began")) >= first and _is_first(trouble):
                note(trouble, key=key(topology.digest, split, fidelity), process=os.getpid())
                TROUBLES[trouble]()
        if split is Split.SEARCH and POISON in os.environ and is_poison(topology):
            TROUBLES[os.environ[POISON]]()
        schedule = np.random.default_rng([int(topology.digest[-12:], 16), fidelity.targets])
        time.sleep(schedule.exponential(float(os.environ.get(SLOWLY, SECONDS))))
        note("ended", key=key(topology.digest, split, fidelity), process=os.getpid())
        if split is Split.SEARCH and raises(topology):
            raise ArithmeticError("too sparse for me")
        look_up = np.random.default_rng([int(topology.digest[:12], 16), list(Split).index(split), seed])
        errors = look_up.random(fidelity.targets)
        if split is Split.SEARCH and is_not_a_number(topology):
            errors[0] = np.nan
        return Score(tuple(errors.tolist()), fidelity.rates[0])


def raises(topology: Topology) -> bool:
    """Whether evaluating a topology on the search split raises: a sixth of all."""
    return int(topology.digest, 16) % 6 == 0


def is_not_a_number(topology: Topology) -> bool:
    """Whether what comes of it is not a number: another sixth."""
    return int(topology.digest, 16) % 6 == 1


def is_poison(topology: Topology) -> bool:
    """Whether it makes trouble, where topologies do: one in sixty."""
    return int(topology.digest, 16) % 60 == 2


def key(digest: str, split: str, fidelity: Fidelity) -> Key:
    """What an evaluation is called in the diary."""
    return (digest, str(split), fidelity.targets, fidelity.steps, fidelity.rates)


def note(what: str, diary: Path | None = None, **about: Any) -> None:
    """Write a line into a diary, by default this process's; many processes may do so at a time."""
    file = os.open(diary or os.environ[DIARY], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, json.dumps({"what": what, **about}).encode() + b"\n")
    finally:
        os.close(file)


def notes(*what: str, diary: Path | None = None) -> list[dict[str, Any]]:
    """The lines of a diary that are about something, in order."""
    path = diary or Path(os.environ[DIARY])
    whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
    return [one for one in map(json.loads, whole.splitlines()) if one["what"] in what]


def _is_first(trouble: str) -> bool:
    """Whether nobody was in this trouble before."""
    try:
        Path(f"{os.environ[DIARY]}.{trouble}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _exhaust() -> None:
    raise MemoryError("a petabyte is asked for")


TROUBLES = {
    "hangs": lambda: time.sleep(3600),
    "dies": lambda: os._exit(1),
    "exhausts": _exhaust,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),  # what the system does to a process with too much memory
}
