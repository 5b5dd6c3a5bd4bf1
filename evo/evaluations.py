"""Scores by request: from the journal if they are there, else from the pool and into the journal.

This is the only place where scores enter a search. Whoever asks cannot tell a score that was just computed from one
that an earlier, interrupted process computed, nor in which order the pool answered.
"""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from cluster.pool import Pool
from evaluators.task import Fidelity, Outcome, Race, Score, Stream, Task
from evo.journal import Journal, Record
from topologies.packing import pack, unpack
from topologies.topology import Topology

_Key = tuple[str, Fidelity, Stream, Race | None]


@dataclass(frozen=True)
class Request:
    """One score that is wanted.

    ``phase`` and ``number`` name it within a run; ``about`` is what the journal should remember of its origin.
    ``topology`` is in canonical form.
    """

    phase: str
    number: int
    topology: Topology
    fidelity: Fidelity
    stream: Stream
    about: Mapping[str, Any] = field(default_factory=dict, compare=False)
    race: Race | None = None

    @property
    def name(self) -> tuple[str, int]:
        """What identifies the request within its run."""
        return (self.phase, self.number)

    @property
    def key(self) -> _Key:
        """What decides the score, besides the run's evaluator and seed."""
        return (self.topology.digest, self.fidelity, self.stream, self.race)


class Evaluations:
    """Sends requests to a pool and gathers their scores through a journal.

    A topology that was scored before at the same fidelity and stream is not evaluated again.
    """

    def __init__(self, journal: Journal, pool: Pool, seed: int, arrived: Callable[[Record], None]) -> None:
        self._journal, self._pool, self._seed, self._arrived = journal, pool, seed, arrived
        self._scores: dict[tuple[str, int], Score | None] = {}
        self._cache: dict[_Key, tuple[Score | None, str | None]] = {}
        self._asked: dict[_Key, list[Request]] = {}
        self._tasks: dict[int, _Key] = {}
        self._next_task = 0
        self._replayed = {
            (record["phase"], record["number"]): record for record in journal.records if record["kind"] == "score"
        }

    def send(self, requests: Sequence[Request]) -> None:
        """Have the requests evaluated, unless they are known; returns at once."""
        known = []
        for request in requests:
            if request.name in self._replayed:
                self._replay(request, self._replayed.pop(request.name))
            elif request.key in self._cache:
                score, failure = self._cache[request.key]
                known.append(_record(request, score, failure, 0.0, "cache"))
            elif request.key in self._asked:
                self._asked[request.key].append(request)
            else:
                self._asked[request.key] = [request]
                self._pool.submit(self._task(request))
        self._commit(known)

    def _task(self, request: Request) -> Task:
        number, self._next_task = self._next_task, self._next_task + 1
        self._tasks[number] = request.key
        return Task(number, request.topology, request.fidelity, request.stream, self._seed, request.race)

    def gather(self, requests: Sequence[Request]) -> list[Score | None]:
        """The scores of requests that were sent, in their order; None where the evaluation failed. Waits for them."""
        while any(request.name not in self._scores for request in requests):
            self._commit([record for outcome in self._pool.wait() for record in self._answer(outcome)])
        return [self._scores[request.name] for request in requests]

    def evaluate(self, requests: Sequence[Request]) -> list[Score | None]:
        """Send and gather."""
        self.send(requests)
        return self.gather(requests)

    def _answer(self, outcome: Outcome) -> list[Record]:
        key = self._tasks.pop(outcome.number)
        score, failure = outcome.score, outcome.failure
        if score is not None and not np.isfinite(score.error):
            score, failure = None, "not every error is a finite number"
        self._cache[key] = (score, failure)
        first, *others = self._asked.pop(key)
        records = [_record(first, score, failure, outcome.seconds, outcome.device)]
        return records + [_record(other, score, failure, 0.0, "cache") for other in others]

    def _commit(self, records: Sequence[Record]) -> None:
        if records:
            self._journal.append(records)
        for record in records:
            self._scores[(record["phase"], record["number"])] = score_of(record)
            self._arrived(record)

    def _replay(self, request: Request, record: Record) -> None:
        if record["digest"] != request.topology.digest:
            raise ValueError(
                f"the journal's {request.phase} {request.number} is another topology than this program bred: "
                "it was written by another version of evofabric, or with other settings"
            )
        self._scores[request.name] = score_of(record)
        self._cache[request.key] = (score_of(record), record["failure"])
        self._arrived(record)


def score_of(record: Record) -> Score | None:
    """The score that a record holds, None for a failure."""
    return None if record["failure"] else Score(tuple(record["errors"]), record["rate"])


def topology_of(record: Record) -> Topology:
    """The topology that a record holds."""
    return unpack(zlib.decompress(base64.b64decode(record["topology"])))


def _record(request: Request, score: Score | None, failure: str | None, seconds: float, device: str) -> Record:
    topology = request.topology
    return {
        "kind": "score",
        "phase": request.phase,
        "number": request.number,
        "digest": topology.digest,
        "n_trainable": topology.n_trainable,
        "n_edges": topology.n_edges,
        "depth": topology.depth,
        **request.about,
        "stream": request.stream.value,
        "targets": request.fidelity.targets,
        "steps": request.fidelity.steps,
        "rates": list(request.fidelity.rates),
        "bar": request.race.bar if request.race and isfinite(request.race.bar) else None,
        "errors": [float(error) for error in score.errors] if score else [],
        "rate": score.rate if score else None,
        "failure": failure,
        "seconds": seconds,
        "device": device,
        "time": time.time(),
        "topology": base64.b64encode(zlib.compress(pack(topology))).decode(),
    }
