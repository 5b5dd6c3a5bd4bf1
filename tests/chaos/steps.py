"""Faults that fall at a step of the program: each prepares one, around the program as it is, in a driver's process."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterable
from io import FileIO
from typing import Any

import evo.experiment.loop
import evo.storage.champion
import evo.storage.checkpoint
import evo.storage.evaluations
import evo.storage.journal
import evo.storage.run
import evo.tracking.background
from evo.storage.journal import Journal
from evo.storage.records import Record, ScoreRecord, from_text
from tests.chaos.evaluator import key, note


def durable(records: Iterable[Record]) -> list[Any]:
    """The keys of the evaluations that records hold."""
    keys = []
    for record in records:
        if isinstance(record, ScoreRecord):
            keys.append(key(record.digest, record.split.value, record.fidelity))
            if record.entry and record.race:
                promoted = record.fidelity.promoted(record.race.targets, record.entry)
                keys.append(key(record.digest, record.split.value, promoted))
    return keys


def durable_in(data: bytes) -> list[Any]:
    """The keys of the evaluations in the lines of a journal."""
    return durable(from_text(line[9:].decode()) for line in data.splitlines())


def die() -> None:
    """End here and now."""
    os.kill(os.getpid(), signal.SIGKILL)


def fell(place: str, **about: Any) -> None:
    """Write down that the fault is about to fall."""
    note("fell", place=place, time=time.time(), **about)


class Countdown:
    """Says when something has happened so many times."""

    def __init__(self, times: int) -> None:
        self._left = times

    def __call__(self, times: int = 1) -> bool:
        """Whether this was the time."""
        before, self._left = self._left, self._left - times
        return before > 0 >= self._left


def wrap(owner: Any, name: str, before: Callable[..., object] | None, after: Callable[..., object] | None) -> None:
    """Have something called before, or after, a function or method that is looked up by name."""
    inner = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        if before is not None:
            before(*arguments)
        found = inner(*arguments, **named)
        if after is not None:
            after(*arguments)
        return found

    setattr(owner, name, wrapped)


def before_journal(place: int) -> None:
    """Killed as answers have arrived and before they are written down."""
    now = Countdown(place)

    def strike(_: Journal, records: list[Record]) -> None:
        if now(len(durable(records))):
            fell("answers arrived, not on disk", keys=durable(records))
            die()

    wrap(Journal, "append", strike, None)


def half_a_record(place: int) -> None:
    """Killed with a half of a group of records written."""
    now = Countdown(place)

    def strike(file: FileIO, data: bytes) -> None:
        if now(len(durable_in(data))):
            file.write(data[: -1 - len(data.splitlines()[-1]) // 2])
            os.fsync(file.fileno())
            fell("half a record on disk")
            die()

    wrap(evo.storage.journal, "write", strike, None)


def before_telling(place: int) -> None:
    """Killed as answers are on disk, and before the search has learned them."""
    now = Countdown(place)

    def strike(_: Journal, records: list[Record]) -> None:
        if now(len(durable(records))):
            fell("answers on disk, not told", keys=durable(records))
            die()

    wrap(Journal, "append", None, strike)


def interrupted_in_write(place: int) -> None:
    """Ctrl-C as records are written and not known to be on disk."""
    now = Countdown(place)
    sync = os.fsync

    def strike(file: FileIO, data: bytes) -> None:
        if now(len(durable_in(data))):

            def interrupt(number: int) -> None:
                os.fsync = sync
                fell("written, not synchronised")
                signal.raise_signal(signal.SIGINT)

            os.fsync = interrupt

    wrap(evo.storage.journal, "write", strike, None)


def interrupted_again(place: int) -> None:
    """A second Ctrl-C while the first is obeyed."""
    ways: list[tuple[Any, str]] = [
        (evo.storage.run.Run, "end"),
        (Journal, "__exit__"),
        (evo.tracking.background.Tracker, "__exit__"),
    ]
    owner, name = ways[place]

    def strike(*_: object) -> None:
        fell(f"SIGINT again in {owner.__name__}.{name}")
        signal.raise_signal(signal.SIGINT)

    wrap(owner, name, strike, None)


def within(owner: Any, name: str, what: str) -> Callable[[int], None]:
    """Killed within a function that writes a whole file: the new one is on disk and not in its place."""

    def prepare(place: int) -> None:
        now, sync = Countdown(place), os.fsync

        def strike(*_: object) -> None:
            if now():

                def kill(number: int) -> None:
                    sync(number)
                    fell(f"within {what}")
                    die()

                os.fsync = kill

        wrap(owner, name, strike, None)

    return prepare


def at_call(owner: Any, name: str, what: str) -> Callable[[int], None]:
    """Killed as something is called."""

    def prepare(place: int) -> None:
        now = Countdown(place)

        def strike(*_: object) -> None:
            if now():
                fell(what)
                die()

        wrap(owner, name, strike, None)

    return prepare


def disk_fills(place: int) -> None:
    """There is room for so many bytes of journal, and no more."""
    room = place

    def strike(file: FileIO, data: bytes) -> None:
        nonlocal room
        if len(data) > room:
            file.write(data[:room])
            if room:
                fell(f"disk full, {room} bytes of {len(data)} written")
            room = 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room -= len(data)

    wrap(evo.storage.journal, "write", strike, None)


def forgetful(place: int) -> None:
    """Nothing is killed, but what the journal knows is not taken over: a mistake that the rounds must notice."""
    evo.storage.evaluations.Evaluations.learn = lambda *_: None  # type: ignore[method-assign]


STEPS: dict[str, Callable[[int], None]] = {
    "before journal": before_journal,
    "half a record": half_a_record,
    "before telling": before_telling,
    "interrupted in write": interrupted_in_write,
    "interrupted again": interrupted_again,
    "checkpoint": within(evo.storage.checkpoint, "write_whole", "a checkpoint"),
    "champion": within(evo.storage.champion, "save", "the champion's file"),
    "breeding": at_call(evo.experiment.loop, "ask", "a generation is bred"),
    "agreeing": at_call(evo.storage.run, "agree", "the journal is read"),
    "recovering": at_call(evo.storage.evaluations.Evaluations, "learn", "known answers are taken over"),
    "checkpoint read": at_call(evo.experiment.loop.Checkpoints, "last", "the checkpoint is looked for"),
    "disk fills": disk_fills,
    "forgetful": forgetful,
}
