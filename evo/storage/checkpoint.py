"""How far a loop has come, kept beside the journal so that a long run is continued without breeding everything again.

A checkpoint is a cache of the journal: it may be deleted, and one that does not fit the journal is not used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from evo.algorithm.nsga2 import Policy, Rules
from evo.algorithm.progress import Progress
from evo.storage.header import journal_of
from evo.storage.journal import Journal
from evo.storage.journal import cut as cut_journal
from topologies.files import write_whole

PERIOD = 60.0
"""Seconds between two checkpoints: at most so much breeding is done again."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Checkpoint:
    """The file's content: a hash over what it belongs to, the journal's size when it was made, and the progress."""

    belongs_to: str
    journal: int
    progress: Progress


_checkpoints = TypeAdapter(_Checkpoint)


def cut(folder: Path, record: int) -> None:
    """Cut a run's journal before a record (:func:`evo.storage.journal.cut`), and remove its checkpoints.

    Raises
    ------
    ValueError
        When it is not the folder of a run, or not every earlier record is intact.
    """
    cut_journal(journal_of(folder), record)
    for policy in Policy:
        _path(folder, policy).unlink(missing_ok=True)


class Checkpoints:
    """The checkpoints of one loop, of which only the last is kept."""

    def __init__(self, folder: Path, rules: Rules, journal: Journal) -> None:
        self._path = _path(folder, rules.policy)
        initial = [member.topology.digest for member in rules.initial_population]
        plain = {**asdict(replace(rules, initial_population=())), "initial": initial, "header": journal.header.time}
        self._belongs_to = hashlib.sha256(json.dumps(plain, default=str).encode()).hexdigest()
        self._journal = journal
        self._made = time.monotonic()

    def last(self, generations: int, max_pending: int) -> Progress | None:
        """The last checkpoint, if there is one that fits the journal and a loop of so many generations.

        One made near the end of a shorter loop lacks generations that a longer one would have bred by then.
        """
        try:
            found = _checkpoints.validate_python(json.loads(zlib.decompress(self._path.read_bytes())))
        except FileNotFoundError:
            return None
        except Exception as error:
            _log.warning("%s is not used: %s: %s", self._path, type(error).__name__, " ".join(str(error).split())[:200])
            return None
        progress = found.progress
        fits = found.belongs_to == self._belongs_to and found.journal <= self._journal.size
        return progress if fits and progress.bred == min(progress.generations + max_pending - 1, generations) else None

    def keep(self, progress: Progress) -> None:
        """Write a checkpoint, unless the last is recent; that it cannot be written is no matter."""
        if time.monotonic() - self._made < PERIOD:
            return
        plain = _plain(_Checkpoint(self._belongs_to, self._journal.size, progress))
        try:
            write_whole(self._path, zlib.compress(json.dumps(plain).encode(), 1))
        except OSError as error:
            _log.warning("no checkpoint: %s", error)
        self._made = time.monotonic()


def _plain(checkpoint: _Checkpoint) -> Any:
    """A checkpoint in plain values; Ctrl-C meanwhile, which pydantic takes for a mistake, is passed on."""
    try:
        return _checkpoints.dump_python(checkpoint, mode="json")
    except PydanticSerializationError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        raise


def _path(folder: Path, policy: Policy) -> Path:
    return folder / f"checkpoint-{policy.value.replace(' ', '-')}.json.z"
