"""How far a loop has come, kept beside the journal so that a long run is continued without breeding everything again.

A snapshot is a cache of the journal: it may be deleted, and one that does not fit the journal is not used.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import time
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from evaluators.task import Race, Score
from evo.algorithm.individual import Birth, Individual
from evo.algorithm.nsga2 import Policy, Rules, State
from evo.algorithm.progress import Progress, Sent
from evo.storage.header import journal_of
from evo.storage.journal import Journal
from evo.storage.journal import cut as cut_journal
from topologies.files import write_whole
from topologies.packing import pack, unpack

PERIOD = 60.0
"""Seconds between two snapshots: at most so much breeding is done again."""

_log = logging.getLogger(__name__)


def cut(folder: Path, record: int) -> None:
    """Cut a run's journal before a record (:func:`evo.storage.journal.cut`), and remove its snapshots.

    Raises
    ------
    ValueError
        When it is not the folder of a run, or not every earlier record is intact.
    """
    cut_journal(journal_of(folder), record)
    for policy in Policy:
        _path(folder, policy).unlink(missing_ok=True)


class Snapshots:
    """The snapshots of one loop, of which only the last is kept."""

    def __init__(self, folder: Path, rules: Rules, journal: Journal) -> None:
        self._path = _path(folder, rules.policy)
        founders = [founder.topology.digest for founder in rules.founders]
        plain = {**asdict(replace(rules, founders=())), "founders": founders, "header": journal.header["time"]}
        self._belongs = hashlib.sha256(json.dumps(plain, default=str).encode()).hexdigest()
        self._journal = journal
        self._made = time.monotonic()

    def last(self, broods: int, lag: int) -> Progress | None:
        """The last snapshot, if there is one that fits the journal and a loop of so many broods.

        One made near the end of a shorter loop lacks broods that a longer one would have bred by then.
        """
        try:
            plain = json.loads(zlib.decompress(self._path.read_bytes()))
            fits = plain["belongs"] == self._belongs and plain["journal"] <= self._journal.size
            here = _progress(plain["progress"]) if fits else None
        except FileNotFoundError:
            return None
        except Exception as error:
            _log.warning("%s is not used: %s: %s", self._path, type(error).__name__, error)
            return None
        return here if here is not None and here.sent == min(here.told + lag - 1, broods) else None

    def keep(self, here: Progress) -> None:
        """Write a snapshot, unless the last is recent; that it cannot be written is no matter."""
        if time.monotonic() - self._made < PERIOD:
            return
        plain = {"belongs": self._belongs, "journal": self._journal.size, "progress": _plain(here)}
        try:
            write_whole(self._path, zlib.compress(json.dumps(plain).encode(), 1))
        except OSError as error:
            _log.warning("no snapshot: %s", error)
        self._made = time.monotonic()


def _path(folder: Path, policy: Policy) -> Path:
    return folder / f"snapshot-{policy.value.replace(' ', '-')}.json.z"


def _plain(here: Progress) -> Any:
    state = here.state
    return {
        "told": here.told,
        "births": here.births,
        "chronicle": here.chronicle,
        "bred": sorted(state.bred),
        "population": [_plain_individual(one) for one in state.population],
        "archive": [_plain_individual(one) for one in state.archive],
        "leaders": [_plain_individual(one) for one in state.leaders],
        "under way": [
            [[[_plain_birth(birth) for birth in litter] for litter in sent.litters], sent.race.bar, sent.race.targets]
            for sent in here.under_way
        ],
    }


def _progress(plain: Any) -> Progress:
    population, archive, leaders = (
        tuple(_individual(one) for one in plain[name]) for name in ("population", "archive", "leaders")
    )
    under_way = tuple(
        Sent(tuple(tuple(_birth(birth) for birth in litter) for litter in litters), Race(bar, targets))
        for litters, bar, targets in plain["under way"]
    )
    state = State(frozenset(plain["bred"]), population, archive, leaders)
    return Progress(plain["told"], plain["births"], plain["chronicle"], state, under_way)


def _plain_individual(one: Individual) -> Any:
    return [_plain_birth(one.birth), one.score and [one.score.errors, one.score.rate], one.measures]


def _individual(plain: Any) -> Individual:
    birth, score, measures = plain
    return Individual(_birth(birth), score and Score(tuple(score[0]), score[1]), tuple(measures))


def _plain_birth(birth: Birth) -> Any:
    packed = base64.b64encode(pack(birth.topology)).decode()
    origin = birth.parents, birth.operator, birth.family, birth.parent_digests
    return [birth.number, birth.brood, packed, *origin]


def _birth(plain: Any) -> Birth:
    number, brood, packed, parents, operator, family, digests = plain
    topology = unpack(base64.b64decode(packed))
    return Birth(number, brood, topology, tuple(parents), operator, family, tuple(digests))
