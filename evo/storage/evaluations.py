"""Answers by request: from a journal if they are there, else from the pool and into the journal.

This is the only place where scores enter a search. Whoever asks cannot tell an answer that was just computed from one
that was known, from this run before it was interrupted or from another run, nor in which order the pool answered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

from cluster.pool import Pool
from evaluators.task import Answer, Fidelity, Outcome, Race, Score, Task
from evo.storage.journal import Journal
from evo.storage.records import Origin, Record, ScoreRecord
from topologies.packing import to_text

_Key = bytes
_FIRST = 0
"""Stands for the evaluation with which a race is entered, where others are known by their number of targets."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A score that is wanted: a task, which ``phase`` and ``number`` name within a run.

    ``origin`` is what the journal should remember of the task's topology.
    """

    phase: str
    number: int
    task: Task
    origin: Origin = field(default=Origin(), compare=False)

    @property
    def name(self) -> tuple[str, int]:
        """What identifies the request within its run."""
        return (self.phase, self.number)


@dataclass(frozen=True)
class _Arrived:
    """The answer to a request, and where it is from."""

    request: Request
    answer: Answer
    seconds: float = 0.0
    device: str = "cache"


class Evaluations:
    """Sends requests to a pool and gathers their answers through a journal.

    What is known is not evaluated again. It is kept by what decides it: topology, fidelity, split, and (for
    all the same) the run's evaluator and seed; of a race both scores are kept, and whether it is won is decided anew.

    Parameters
    ----------
    journal:
        Where answers are written before they count.
    pool:
        Evaluates.
    arrived:
        Shown every record that is written.
    written:
        Records that the journal has already, and that are not written again; :meth:`learn` from them first.
    noted:
        Proxies to be noted of whatever is evaluated; what is known counts with or without them.
    """

    def __init__(
        self,
        journal: Journal,
        pool: Pool,
        arrived: Callable[[Record], None],
        written: Iterable[Record] = (),
        noted: tuple[str, ...] = (),
    ) -> None:
        self._journal, self._pool, self._arrived, self._noted = journal, pool, arrived, noted
        self._answers: dict[tuple[str, int], Answer] = {}
        self._known: dict[_Key, dict[int, Answer]] = {}
        self._asked: dict[tuple[_Key, Race | None], list[Request]] = {}
        self._tasks: dict[int, tuple[_Key, Race | None]] = {}
        self._next_task = 0
        self._written = {(one.phase, one.number): one.digest for one in written if isinstance(one, ScoreRecord)}
        self.last_failure: str | None = None

    def learn(self, records: Iterable[Record]) -> None:
        """Take over the answers of a journal whose evaluator and seed are this run's."""
        for record in records:
            if isinstance(record, ScoreRecord):
                key = _key(record.digest, record.fidelity, record.split.value, record.wanted, record.variant)
                answer = Answer(
                    score=record.score,
                    failure=record.failure,
                    entry=record.entry,
                    measures=record.measures,
                )
                self._keep(key, record.race.targets if record.race else _FIRST, answer)

    def send(self, requests: Sequence[Request]) -> None:
        """Have the requests evaluated, unless they are known; returns at once."""
        known, tasks = [], []
        for request in requests:
            key, race = key_of(request.task), request.task.race
            answer = self._look_up(key, race)
            if answer is not None:
                known.append(_Arrived(request, answer))
            elif (key, race) in self._asked:
                self._asked[key, race].append(request)
            else:
                self._asked[key, race] = [request]
                tasks.append(self._numbered(request.task, key))
        if tasks:
            self._pool.submit(tasks)
        self._commit(known)

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """What came of requests that were sent, in their order; waits for them and hands each out once."""
        while any(request.name not in self._answers for request in requests):
            self._commit([one for outcome in self._pool.wait() for one in self._arrivals(outcome)])
        return [self._answers.pop(request.name) for request in requests]

    def evaluate(self, requests: Sequence[Request]) -> list[Score | None]:
        """Send requests and wait for their scores; None where the evaluation failed."""
        self.send(requests)
        return [answer.score for answer in self.answers(requests)]

    def _numbered(self, task: Task, key: _Key) -> Task:
        """The task as it goes to the pool: only the promotion, where its race's entry is known."""
        number, self._next_task = self._next_task, self._next_task + 1
        self._tasks[number] = (key, task.race)
        first = self._known.get(key, {}).get(_FIRST)
        if first is None or first.score is None or task.race is None:
            return replace(task, number=number, noted=self._noted)
        fidelity = task.fidelity.promoted(task.race.targets, first.score)
        return Task(
            topology=task.topology,
            fidelity=fidelity,
            split=task.split,
            seed=task.seed,
            variant=task.variant,
            number=number,
        )

    def _look_up(self, key: _Key, race: Race | None) -> Answer | None:
        answers = self._known.get(key, {})
        first = answers.get(_FIRST)
        if first is None or first.score is None or race is None or not race.promotes(first.score):
            return first
        return answers.get(race.targets)

    def _keep(self, key: _Key, race_targets: int, answer: Answer) -> None:
        known = self._known.setdefault(key, {})
        if answer.entry is None:
            known[_FIRST] = answer
        else:
            known[_FIRST] = replace(answer, score=answer.entry, failure=None, entry=None)
            known[race_targets] = answer

    def _arrivals(self, outcome: Outcome) -> list[_Arrived]:
        """The outcome of a task as the answer to everybody who asked for it."""
        key, race = self._tasks.pop(outcome.number)
        answer = outcome.answer
        if answer.score is not None and not isfinite(answer.score.error):
            answer = replace(answer, score=None, failure="not every error is a finite number")
        first = self._known.get(key, {}).get(_FIRST)
        if first is not None:
            answer = replace(first, score=answer.score, failure=answer.failure, entry=first.score)
        self._keep(key, race.targets if race else _FIRST, answer)
        asker, *others = self._asked.pop((key, race))
        first_of_all = _Arrived(asker, answer, outcome.seconds, outcome.device)
        return [first_of_all, *(_Arrived(other, answer) for other in others)]

    def _commit(self, arrived: Sequence[_Arrived]) -> None:
        """Journal what is new, all in one go; only then it counts."""
        records = []
        for one in arrived:
            digest = one.request.task.topology.digest
            before = self._written.get(one.request.name)
            if before is None:
                records.append(_record(one))
            elif before != digest:
                raise ValueError(
                    f"the journal's {one.request.phase} {one.request.number} is another topology than this program "
                    "bred: it was written by another version of evofabric, or with other settings"
                )
        if records:
            self._journal.append(records)
        for one in arrived:
            self._answers[one.request.name] = one.answer
            self.last_failure = one.answer.failure or self.last_failure
        for record in records:
            self._written[(record.phase, record.number)] = record.digest
            self._arrived(record)


def key_of(task: Task) -> bytes:
    """What decides an answer, besides evaluator, seed and race."""
    return _key(task.topology.digest, task.fidelity, task.split.value, task.measures, task.variant)


def _key(
    digest: str,
    fidelity: Fidelity,
    split: str,
    measures: Sequence[str],
    variant: str,
) -> bytes:
    asked = [fidelity.targets, fidelity.steps, fidelity.rates, fidelity.weight_decays]
    what = [digest, asked, split, measures, variant]
    return hashlib.blake2b(json.dumps(what).encode(), digest_size=16).digest()


def _record(arrived: _Arrived) -> ScoreRecord:
    request, task, answer = arrived.request, arrived.request.task, arrived.answer
    topology = task.topology
    return ScoreRecord(
        phase=request.phase,
        number=request.number,
        digest=topology.digest,
        n_trainable=topology.n_trainable,
        n_edges=topology.n_edges,
        depth=topology.depth,
        origin=request.origin,
        split=task.split,
        fidelity=task.fidelity,
        race=task.race,
        score=answer.score,
        entry=answer.entry,
        failure=answer.failure,
        measures=dict(answer.measures),
        wanted=task.measures,
        variant=task.variant,
        seconds=arrived.seconds,
        device=arrived.device,
        packed=to_text(topology),
    )
