"""Answers by request: from a journal if they are there, else from the pool and into the journal.

This is the only place where scores enter a search. Whoever asks cannot tell an answer that was just computed from one
that was known, from this run before it was interrupted or from another run, nor in which order the pool answered.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

from cluster.pool import Pool
from evaluators.task import Fidelity, Outcome, Race, Score, Stream, Task
from evo.storage.journal import Journal, Record
from topologies.packing import pack, unpack
from topologies.topology import Topology

_Key = bytes


@dataclass(frozen=True)
class Request:
    """One score that is wanted.

    ``phase`` and ``number`` name it within a run; ``about`` is what the journal should remember of it.
    ``topology`` and its ``siblings``, of which ``screen`` chooses one, are in canonical form; ``origins`` is what the
    journal should remember of each of them.
    """

    phase: str
    number: int
    topology: Topology
    fidelity: Fidelity
    stream: Stream
    about: Mapping[str, Any] = field(default_factory=dict, compare=False)
    race: Race | None = None
    siblings: tuple[Topology, ...] = ()
    screen: str | None = None
    measures: tuple[str, ...] = ()
    origins: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)

    @property
    def name(self) -> tuple[str, int]:
        """What identifies the request within its run."""
        return (self.phase, self.number)

    @property
    def candidates(self) -> tuple[Topology, ...]:
        """The topology and its siblings."""
        return (self.topology, *self.siblings)


@dataclass(frozen=True)
class Answer:
    """What came of a request; the fields are those of :class:`evaluators.task.Outcome`."""

    score: Score | None
    failure: str | None = None
    chosen: int = 0
    first: Score | None = None
    measures: Mapping[str, float] = field(default_factory=dict)


class Evaluations:
    """Sends requests to a pool and gathers their answers through a journal.

    What is known is not evaluated again. It is kept by what decides it: topology, fidelity, stream, screen, and (for
    all the same) the run's evaluator and seed; of a race both scores are kept, and whether it is won is decided anew.

    Parameters
    ----------
    journal:
        Where answers are written before they count.
    pool:
        Who evaluates.
    seed:
        The run's.
    arrived:
        Shown every record that is written.
    written:
        Records that the journal has already, and that are not written again; :meth:`learn` from them first.
    """

    def __init__(
        self,
        journal: Journal,
        pool: Pool,
        seed: int,
        arrived: Callable[[Record], None],
        written: Iterable[Record] = (),
    ) -> None:
        self._journal, self._pool, self._seed, self._arrived = journal, pool, seed, arrived
        self._answers: dict[tuple[str, int], Answer] = {}
        self._known: dict[_Key, dict[int, Answer]] = {}  # by targets of the closer look, 0 for the first
        self._asked: dict[tuple[_Key, Race | None], list[Request]] = {}
        self._tasks: dict[int, tuple[_Key, Race | None]] = {}
        self._next_task = 0
        self._written = {(one["phase"], one["number"]): one["digest"] for one in written if one["kind"] == "score"}
        self.last_failure: str | None = None

    def learn(self, records: Iterable[Record]) -> None:
        """Take over the answers of a journal whose evaluator and seed are this run's."""
        for record in records:
            if record["kind"] == "score":
                candidates = record.get("candidates", [record["digest"]])
                fidelity = Fidelity(record["targets"], record["steps"], tuple(record["rates"]))
                measures = record.get("measures", {})
                wanted = tuple(record.get("wanted", ()))
                key = _key(candidates, fidelity, record["stream"], record.get("screen"), wanted)
                first = Score(tuple(record["first"]), record["first_rate"]) if "first" in record else None
                answer = Answer(score_of(record), record["failure"], record.get("chosen", 0), first, measures)
                self._keep(key, record.get("race_targets", 0), answer)

    def send(self, requests: Sequence[Request]) -> None:
        """Have the requests evaluated, unless they are known; returns at once."""
        known, tasks = [], []
        for request in requests:
            key = key_of(request)
            answer = self._look_up(key, request.race)
            if answer is not None:
                known.append((request, answer))
            elif (key, request.race) in self._asked:
                self._asked[key, request.race].append(request)
            else:
                self._asked[key, request.race] = [request]
                tasks.append(self._task(request, (key, request.race)))
        if tasks:
            self._pool.submit(tasks)
        self._commit([(request, answer, 0.0, "cache") for request, answer in known])

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """What came of requests that were sent, in their order; waits for them and hands each out once."""
        while any(request.name not in self._answers for request in requests):
            self._commit([answer for outcome in self._pool.wait() for answer in self._answer(outcome)])
        return [self._answers.pop(request.name) for request in requests]

    def evaluate(self, requests: Sequence[Request]) -> list[Score | None]:
        """Send requests and wait for their scores; None where the evaluation failed."""
        self.send(requests)
        return [answer.score for answer in self.answers(requests)]

    def _task(self, request: Request, what: tuple[_Key, Race | None]) -> Task:
        number, self._next_task = self._next_task, self._next_task + 1
        self._tasks[number] = what
        first = self._known.get(what[0], {}).get(0)
        if first is not None and first.score is not None and request.race is not None:  # only the closer look is new
            closer = request.fidelity.closer(request.race.targets, first.score.rate)
            return Task(number, request.candidates[first.chosen], closer, request.stream, self._seed)
        return Task(
            number,
            request.topology,
            request.fidelity,
            request.stream,
            self._seed,
            request.race,
            request.siblings,
            request.screen,
            request.measures,
        )

    def _look_up(self, key: _Key, race: Race | None) -> Answer | None:
        answers = self._known.get(key, {})
        first = answers.get(0)
        if first is None or first.score is None or race is None or not first.score.error < race.bar:
            return first
        return answers.get(race.targets)

    def _keep(self, key: _Key, race_targets: int, answer: Answer) -> None:
        known = self._known.setdefault(key, {})
        if answer.first is None:
            known[0] = answer
        else:
            known[0] = replace(answer, score=answer.first, failure=None, first=None)
            known[race_targets] = answer

    def _answer(self, outcome: Outcome) -> list[tuple[Request, Answer, float, str]]:
        key, race = self._tasks.pop(outcome.number)
        score, failure = outcome.score, outcome.failure
        if score is not None and not isfinite(score.error):
            score, failure = None, "not every error is a finite number"
        answer = Answer(score, failure, outcome.chosen, outcome.first, outcome.measures)
        first = self._known.get(key, {}).get(0)
        if first is not None:
            answer = replace(first, score=score, failure=failure, first=first.score)
        self._keep(key, race.targets if race else 0, answer)
        asker, *others = self._asked.pop((key, race))
        return [
            (asker, answer, outcome.seconds, outcome.device),
            *((other, answer, 0.0, "cache") for other in others),
        ]

    def _commit(self, answers: Sequence[tuple[Request, Answer, float, str]]) -> None:
        """Journal what is new, all in one go; only then it counts."""
        records = []
        for request, answer, seconds, device in answers:
            digest = request.candidates[answer.chosen].digest
            before = self._written.get(request.name)
            if before is None:
                records.append(_record(request, answer, seconds, device))
            elif before != digest:
                raise ValueError(
                    f"the journal's {request.phase} {request.number} is another topology than this program bred: "
                    "it was written by another version of evofabric, or with other settings"
                )
        if records:
            self._journal.append(records)
        for request, answer, *_ in answers:
            self._answers[request.name] = answer
            self.last_failure = answer.failure or self.last_failure
        for record in records:
            self._written[(record["phase"], record["number"])] = record["digest"]
            self._arrived(record)


def key_of(request: Request) -> bytes:
    """What decides an answer, besides evaluator, seed and race."""
    digests = [one.digest for one in request.candidates]
    return _key(digests, request.fidelity, request.stream.value, request.screen, request.measures)


def _key(digests: Sequence[str], fidelity: Fidelity, stream: str, screen: str | None, measures: Sequence[str]) -> bytes:
    what = [*digests, fidelity.targets, fidelity.steps, *fidelity.rates, stream, screen, *measures]
    return hashlib.blake2b(json.dumps(what).encode(), digest_size=16).digest()


def score_of(record: Record) -> Score | None:
    """The score that a record holds, None for a failure."""
    return None if record["failure"] else Score(tuple(record["errors"]), record["rate"])


def topology_of(record: Record) -> Topology:
    """The topology that a record holds."""
    return unpack(zlib.decompress(base64.b64decode(record["topology"])))


def _record(request: Request, answer: Answer, seconds: float, device: str) -> Record:
    topology, score, race = request.candidates[answer.chosen], answer.score, request.race
    record: Record = {
        "kind": "score",
        "phase": request.phase,
        "number": request.number,
        "digest": topology.digest,
        "n_trainable": topology.n_trainable,
        "n_edges": topology.n_edges,
        "depth": topology.depth,
        **request.about,
        **(request.origins[answer.chosen] if request.origins else {}),
        "stream": request.stream.value,
        "targets": request.fidelity.targets,
        "steps": request.fidelity.steps,
        "rates": list(request.fidelity.rates),
        "bar": race.bar if race and isfinite(race.bar) else None,
        "errors": [float(error) for error in score.errors] if score else [],
        "rate": score.rate if score else None,
        "failure": answer.failure,
        "seconds": seconds,
        "device": device,
        "time": time.time(),
        "topology": base64.b64encode(zlib.compress(pack(topology))).decode(),
    }
    if answer.first is not None and race is not None:
        first = [float(error) for error in answer.first.errors]
        record |= {"first": first, "first_rate": answer.first.rate, "race_targets": race.targets}
    if request.screen is not None:
        digests = [one.digest for one in request.candidates]
        record |= {"screen": request.screen, "candidates": digests, "chosen": answer.chosen}
    if answer.measures:
        record |= {"measures": dict(answer.measures), "wanted": list(request.measures)}
    return record
